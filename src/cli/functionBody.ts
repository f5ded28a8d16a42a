import type { WireFunction } from '../api/wireFunction.ts'
import { selectionMethods, type FunctionBody } from '../model/function.ts'
import { withoutUndefined } from '../model/pulse.ts'
import { failed, usage } from './exit.ts'
import type { FlagTable, Values } from './goFlags.ts'

/** What `torb functions put` says besides instances and weights. */
export const bodyFlags = {
  method: { kind: 'string', about: 'how an instance is chosen; else wrr', choices: selectionMethods },
  'hash-header': {
    kind: 'string',
    value: 'NAME',
    about: 'field that --method hash goes by; else the address of the client',
  },
  'in-flight': { kind: 'integer', about: 'requests that an instance has at a time', min: 1, max: 1_000_000 },
  queue: { kind: 'integer', about: 'requests that wait for an instance; else 0', max: 1_000_000 },
  wait: { kind: 'string', value: 'TIME', about: 'how long they wait; else 1s' },
  retries: {
    kind: 'integer',
    about: 'further instances that an idempotent request may try; else 1',
    max: 8,
  },
  'eject-after': {
    kind: 'integer',
    about: 'failures in a row after which an instance is left out; else 5',
    min: 1,
    max: 1000,
  },
  'eject-for': {
    kind: 'string',
    value: 'TIME',
    about: 'how long the first time, doubled each time; else 1s',
  },
  'eject-most': { kind: 'string', value: 'TIME', about: 'how long at most; else 1m' },
  'no-ejection': { kind: 'boolean', about: 'never leaves an instance out', default: false },
} as const satisfies FlagTable

type BodyFlags = Values<typeof bodyFlags>

/** The first of the flags that was given; null: none was. */
export function givenBodyFlag(flags: BodyFlags): string | null {
  return (
    (Object.keys(bodyFlags) as (keyof BodyFlags)[]).find(
      (name) => flags[name] !== undefined && flags[name] !== false,
    ) ?? null
  )
}

/** @param instances `host:port`, each with `=WEIGHT` or without @throws CommandError */
export function readBody(instances: readonly string[], flags: BodyFlags): FunctionBody {
  const weights = instances.map((text) => readInstanceWeight(text, 1))
  const limits = withoutUndefined({
    in_flight: flags['in-flight'],
    queue: flags.queue,
    wait: flags.wait,
  })
  const ejection = withoutUndefined({
    failures: flags['eject-after'],
    base: flags['eject-for'],
    max: flags['eject-most'],
  })
  if (flags['no-ejection'] && Object.keys(ejection).length > 0)
    throw usage('--no-ejection and the flags of ejection exclude each other')
  return withoutUndefined({
    ips: weights.map(({ instance }) => instance),
    weights: weights.map(({ weight }) => weight),
    method: flags.method as FunctionBody['method'],
    hash_header: flags['hash-header'],
    limits: Object.keys(limits).length === 0 ? undefined : limits,
    retries: flags.retries,
    ejection: flags['no-ejection'] ? null : Object.keys(ejection).length === 0 ? undefined : ejection,
  })
}

/** @param pairs `host:port=WEIGHT`, at least one @throws CommandError */
export function readWeights(pairs: readonly string[]): ReadonlyMap<string, number> {
  if (pairs.length === 0)
    throw usage('INSTANCE=WEIGHT is missing: torb functions weights NAME INSTANCE=WEIGHT ...')
  return new Map(
    pairs.map((text) => {
      const { instance, weight } = readInstanceWeight(text, null)
      return [instance, weight]
    }),
  )
}

/** The body of the PATCH: instances and weights together, so that each weight stays with its instance. */
export function reweighed(
  name: string,
  { ips, weights }: WireFunction['options'],
  changed: ReadonlyMap<string, number>,
): Pick<FunctionBody, 'ips' | 'weights'> {
  for (const instance of changed.keys()) {
    if (!ips.includes(instance))
      throw failed(
        `function "${name}" has no instance ${instance}: it has ${ips.length === 0 ? 'none' : ips.join(', ')}`,
      )
  }
  return { ips, weights: weights.map((weight, index) => changed.get(ips[index] ?? '') ?? weight) }
}

/** @param usual weight where none is said; null: one has to be */
function readInstanceWeight(text: string, usual: number | null): { instance: string; weight: number } {
  const at = text.lastIndexOf('=')
  const weight = at < 0 ? usual : weightOf(text.slice(at + 1))
  const instance = at < 0 ? text : text.slice(0, at)
  if (weight === null || instance === '')
    throw usage(`"${text}" is not INSTANCE=WEIGHT, such as 127.0.0.1:9001=3: a weight is a number from 0 up`)
  return { instance, weight }
}

const weightOf = (text: string): number | null => (/^\d+(?:\.\d+)?$/.test(text) ? Number(text) : null)
