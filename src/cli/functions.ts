import type { WireFunction, WireFunctionList } from '../api/wireFunction.ts'
import type { WireRejected } from '../api/wireSource.ts'
import { selectionMethods } from '../model/function.ts'
import { defineCommand } from './command.ts'
import { exit, usage } from './exit.ts'
import { bodyFlags, givenBodyFlag, readBody, readWeights, reweighed } from './functionBody.ts'
import { renderFunction, renderFunctions, renderRejected } from './functionsView.ts'
import { apiEnvironment, apiExit, apiFlags, restOf, type Rest } from './rest.ts'

export const functions = defineCommand({
  page: {
    synopsis: [
      'torb functions [--rejected] [--json]',
      'torb functions show NAME [--json]',
      `torb functions put NAME INSTANCE[=WEIGHT] ... [--method ${selectionMethods.join('|')}] ...`,
      'torb functions weights NAME INSTANCE=WEIGHT ...',
      'torb functions rm NAME',
      'torb functions confirm [SOURCE]',
    ],
    description: [
      'Shows the functions of the gateway and their instances: who decides the function, the weights in force, requests that an instance has now, those that it got and those that failed, and the response times in milliseconds; below them how the sources are. With --rejected it shows the keys that cannot be used, and why. "show" shows one function, and all who have it.',
      '"put" creates or replaces a function: instances as host:port, each with its weight (1 where none is said). "weights" changes the weights of the instances named and leaves everything else. Both are what REST says of the function, which stands above the file and etcd until "rm" takes it back.',
      '"confirm" says that a source (etcd) is right where it holds back the loss of too many instances at once, and prints how many functions changed.',
    ],
    examples: [
      ['torb functions', 'all of them'],
      ['torb functions put resnet 127.0.0.1:9001=3 127.0.0.1:9002=1 --method wrr', 'three to one'],
      ['torb functions weights resnet 127.0.0.1:9002=0', 'nothing new for the second'],
      ['torb functions show resnet --json', 'one, for a program'],
      ['torb functions --rejected', 'what in etcd cannot be used, and why'],
    ],
    exit: [[exit.ok, 'shown, or changed: durable and in force'], ...apiExit],
    environment: apiEnvironment,
    see: ['torb gateway', 'torb services'],
  },
  flags: {
    ...apiFlags,
    rejected: { kind: 'boolean', about: 'shows the keys that cannot be used', default: false },
    ...bodyFlags,
  },
  operands: { min: 0, max: Infinity, name: 'COMMAND' },

  async run({ flags, operands, io }) {
    const [verb = 'list', ...rest] = operands
    const given = givenBodyFlag(flags)
    if (given !== null && verb !== 'put') throw usage(`--${given} is for "torb functions put"`)
    if (flags.rejected && verb !== 'list') throw usage('--rejected stands alone: torb functions --rejected')
    const api = restOf(flags, io)
    const lines = (text: readonly string[]): void => io.out(`${text.join('\n')}\n`)
    const json = (value: unknown): void => io.out(`${JSON.stringify(value, null, 2)}\n`)
    switch (verb) {
      case 'list': {
        if (rest.length > 0) throw usage(`"${rest[0]}" is one operand too many: torb functions`)
        if (flags.rejected) {
          const found = (await api.request('GET', '/functions?rejected')) as WireRejected[]
          if (flags.json) json(found)
          else lines(renderRejected(found, io.colour))
          return exit.ok
        }
        const found = (await api.request('GET', '/functions?full')) as WireFunctionList
        if (flags.json) json(found)
        else lines(renderFunctions(found, io.colour))
        return exit.ok
      }
      case 'show': {
        const found = await read(api, nameIn(verb, rest, 1))
        if (flags.json) json(found)
        else lines(renderFunction(found, io.colour))
        return exit.ok
      }
      case 'put': {
        const name = nameIn(verb, rest)
        if (rest.length === 1)
          throw usage(`INSTANCE is missing: torb functions put ${name} HOST:PORT[=WEIGHT] ...`)
        await api.request('PUT', pathOf(name), readBody(rest.slice(1), flags))
        return exit.ok
      }
      case 'weights': {
        const name = nameIn(verb, rest)
        const weights = readWeights(rest.slice(1))
        await api.request('PATCH', pathOf(name), reweighed(name, (await read(api, name)).options, weights))
        return exit.ok
      }
      case 'rm': {
        await api.request('DELETE', pathOf(nameIn(verb, rest, 1)))
        return exit.ok
      }
      case 'confirm': {
        const [source = 'etcd', surplus] = rest
        if (surplus !== undefined) throw usage(`"${surplus}" is one operand too many: torb functions confirm`)
        const path = `/sources/${encodeURIComponent(source)}/confirm`
        const { changes } = (await api.request('POST', path)) as { changes: number }
        if (flags.json) json({ changes })
        else lines([changes === 1 ? '1 function changed' : `${changes} functions changed`])
        return exit.ok
      }
      default:
        throw usage(
          `"${verb}" is none of show, put, weights, rm, confirm${rest.length === 0 ? `: to see a function, "torb functions show ${verb}"` : ''}`,
        )
    }
  },
})

const pathOf = (name: string): string => `/functions/${encodeURIComponent(name)}`

const read = async (api: Rest, name: string): Promise<WireFunction> =>
  (await api.request('GET', pathOf(name))) as WireFunction

const operandsAfterName: Readonly<Record<string, string>> = {
  put: ' HOST:PORT[=WEIGHT] ...',
  weights: ' INSTANCE=WEIGHT ...',
}

function nameIn(verb: string, [name, ...others]: readonly string[], most = Infinity): string {
  const more = operandsAfterName[verb] ?? ''
  if (name === undefined || name === '') throw usage(`NAME is missing: torb functions ${verb} NAME${more}`)
  if (others.length >= most)
    throw usage(`"${others[0]}" is one operand too many: torb functions ${verb} NAME`)
  return name
}
