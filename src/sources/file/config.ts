import type { z } from 'zod'
import type { ConfiguredService } from '../../control/control.ts'
import { readBackend } from '../../model/backend.ts'
import { configFile, type ConfigFile, type DaemonOptions } from '../../model/daemon.ts'
import {
  readFunction,
  readNamedFunction,
  type FunctionBody,
  type FunctionName,
  type FunctionSpec,
} from '../../model/function.ts'
import { fieldNames, issueText, unknownFieldText } from '../../model/issues.ts'
import type { BackendId, ServiceId } from '../../model/names.ts'
import { message, Refusal } from '../../model/refusal.ts'
import { readService } from '../../model/service.ts'
import { report } from './excerpt.ts'
import { parseJson } from './json.ts'
import { placeAt, type Fault, type Parsed, type Place } from './place.ts'
import { parseToml } from './toml.ts'
import { parseYaml } from './yaml.ts'

export type Format = 'yaml' | 'json' | 'toml'

/** A configuration as plain data, with the places of its objects in the file. */
export interface Config {
  readonly options: DaemonOptions
  readonly services: readonly ConfiguredService[]
  readonly functions: ReadonlyMap<FunctionName, FunctionSpec>
  readonly places: Place
}

export type ConfigResult =
  | ({ readonly ok: true } & Config)
  | { readonly ok: false; readonly errors: readonly string[] }

const parsers: Readonly<Record<Format, (text: string) => Parsed>> = {
  yaml: parseYaml,
  json: parseJson,
  toml: parseToml,
}
const shownErrors = 20

/**
 * Reads a configuration; all that is wrong with it comes at once, each as `file:line:column: message` and the line.
 *
 * @param file the name to show in errors
 */
export function parseConfig(text: string, format: Format, file: string): ConfigResult {
  const parsed = parsers[format](text)
  if (!parsed.ok) return { ok: false, errors: reports(file, text, parsed.faults) }
  const checked = configFile.safeParse(parsed.value, { error: issueText })
  const faults = checked.success
    ? valueFaults(checked.data, parsed.place)
    : checked.error.issues.flatMap((issue) => issueFaults(issue, parsed.place))
  if (!checked.success || faults.length > 0) return { ok: false, errors: reports(file, text, faults) }
  const { services: _services, functions: _functions, ...options } = checked.data
  return {
    ok: true,
    options,
    services: toConfigured(checked.data, parsed.place),
    functions: new Map(
      functionsOf(checked.data, parsed.place).map(([name, body]) => [name, readFunction(body)]),
    ),
    places: parsed.place,
  }
}

/** The objects of a configuration; backends in the order of the file, which JavaScript's objects do not keep for names like "10". */
export function toConfigured({ services = {} }: ConfigFile, places: Place): ConfiguredService[] {
  return inFileOrder(services, childOf(places, 'services')).map(
    ([id, { backends = {}, ...options }, place]) => ({
      id,
      options,
      backends: inFileOrder(backends, childOf(place, 'backends')).map(([id, options]) => ({ id, options })),
    }),
  )
}

const functionsOf = ({ functions = {} }: ConfigFile, places: Place): [FunctionName, FunctionBody, Place][] =>
  inFileOrder(functions, childOf(places, 'functions'))

/** Where a service or backend stands. */
export function offsetOf(places: Place, service: ServiceId, backend: BackendId | null): number {
  const path = ['services', service, ...(backend === null ? [] : ['backends', backend])]
  return placeAt(places, path).place.key
}

const childOf = (place: Place | undefined, name: string): Place | undefined => place?.children.get(name)

function inFileOrder<T>(values: Readonly<Record<string, T>>, place: Place | undefined): [string, T, Place][] {
  return [...(place?.children ?? [])].flatMap(([name, child]): [string, T, Place][] => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    return value === undefined ? [] : [[name, value, child]]
  })
}

function issueFaults(issue: z.core.$ZodIssue, places: Place): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    const allowed = fieldNames(configFile, issue.path)
    return issue.keys.map((key) => ({
      offset: placeAt(places, [...issue.path, key]).place.key,
      message: unknownFieldText(key, allowed),
    }))
  }
  const { place, whole } = placeAt(places, issue.path)
  const name = String(issue.path.at(-1) ?? 'the configuration')
  const text = issue.message.startsWith(`${name} `) ? issue.message : `${name} ${issue.message}`
  return [{ offset: whole ? place.value : place.key, message: text }]
}

/** What the schema leaves to the readers of the model. */
function valueFaults(config: ConfigFile, places: Place): Fault[] {
  const services = childOf(places, 'services')
  const maps = [
    services,
    ...[...(services?.children.values() ?? [])].map((service) => childOf(service, 'backends')),
    childOf(places, 'functions'),
  ]
  const nameless = maps.flatMap((map) => childOf(map, '__proto__') ?? [])
  // Zod's records leave this key out without a word.
  const faults = nameless.map(({ key }) => ({
    offset: key,
    message: '"__proto__" cannot be a name: choose another',
  }))
  const refusals = toConfigured(config, places).flatMap(({ id, options, backends }) => {
    const path = ['services', id]
    return [
      // Whether the default interface has an address is known to control alone.
      ...refused(places, path, () => readService(options, true)),
      ...backends.flatMap((backend) =>
        refused(places, [...path, 'backends', backend.id], () =>
          readBackend(backend.options, options.port === 'any'),
        ),
      ),
    ]
  })
  const functions = functionsOf(config, places).flatMap(([name, body]) =>
    refused(places, ['functions', name], () => readNamedFunction(name, body)),
  )
  return [...faults, ...refusals, ...functions]
}

/** Fields that the fixed texts of the model are about. */
const fieldOf: Readonly<Record<string, readonly string[]>> = {
  [message.protocolUnknown]: ['protocol'],
  [message.flagUnknown]: ['flags'],
  [message.fallbackUnknown]: ['fallback'],
  [message.forwardingUnknown]: ['method'],
  [message.pulseUnknown]: ['pulse', 'type'],
  [message.intervalInvalid]: ['pulse', 'interval'],
  [message.intervalNotPositive]: ['pulse', 'interval'],
}

function refused(places: Place, path: readonly string[], read: () => unknown): Fault[] {
  try {
    read()
    return []
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const field = fieldOf[error.message] ?? [/^\w+/.exec(error.message)?.[0] ?? '']
    const { place, whole } = placeAt(places, [...path, ...field])
    const object = placeAt(places, path).place.key
    return [{ offset: whole ? place.value : object, message: error.message }]
  }
}

function reports(file: string, text: string, faults: readonly Fault[]): string[] {
  const sorted = [...faults].sort((a, b) => a.offset - b.offset)
  const shown = sorted.slice(0, shownErrors).map(({ offset, message }) => report(file, text, offset, message))
  return faults.length > shownErrors
    ? [...shown, `${file}: and ${faults.length - shownErrors} more errors`]
    : shown
}
