import { defineCommand } from './command.ts'
import { exit, usage } from './exit.ts'
import { parseEndpoint } from '../api/endpoint.ts'
import type { WireRequestExplanation } from '../api/routes/explain.ts'
import { percent } from '../api/requestExplanation.ts'
import { familyOf } from '../model/address.ts'
import { protocolNames } from '../model/names.ts'
import { apiEnvironment, apiExit, apiFlags, restOf } from './rest.ts'
import { printable } from './table.ts'

interface Explanation {
  readonly service: string | null
  readonly backend: string | null
  readonly candidates?: readonly string[]
  readonly steps: readonly string[]
}

export const explain = defineCommand({
  page: {
    synopsis: [
      'torb explain [--from ADDRESS[:PORT]] [--protocol tcp|udp|sctp|http] VIP:PORT',
      'torb explain [--passed N] /function/NAME[/PATH][?QUERY]',
    ],
    description: [
      'Says where a connection from a client to a virtual address would go now, and why, step by step: the service that takes it, the backends that are out, affinity, and the choice of the scheduler. No packet is sent and nothing is changed.',
      'With a path it says where a request to the function gateway would go: the function that takes it and who decides it, whether other gateways may be asked, each instance with its weights and its share or why it is out, the queue where all are full, and what an instance is asked for.',
    ],
    examples: [
      ['torb explain --from 192.0.2.7 10.0.2.15:4444', 'why a client lands where it does'],
      ["torb explain '/function/resnet/label?size=1'", 'which instances a function has for a request now'],
      ['torb explain --passed 1 /function/resnet', 'the same where another gateway forwards it'],
    ],
    exit: [
      [exit.ok, 'a backend would take it, or an instance of the function'],
      [exit.failed, 'none would, or the API refused'],
      ...apiExit.slice(1),
    ],
    environment: apiEnvironment,
    see: ['torb services', 'torb functions', 'torb doctor'],
  },
  flags: {
    ...apiFlags,
    from: {
      kind: 'string',
      value: 'ADDRESS[:PORT]',
      about: 'the client; else this host, by its loopback address',
    },
    protocol: { kind: 'string', about: 'transport protocol', choices: protocolNames, default: 'tcp' },
    passed: {
      kind: 'integer',
      about: 'gateways that the request has passed already',
      min: 0,
      max: 999,
      default: 0,
    },
  },
  operands: { min: 1, max: 1, name: 'VIP:PORT or /function/NAME' },

  async run({ flags, operands, io }) {
    const [destination = ''] = operands
    const isRequest = destination.startsWith('/')
    checkForm(destination, isRequest, flags.from, flags.passed)
    const query = new URLSearchParams(
      isRequest
        ? { target: destination, passed: String(flags.passed) }
        : {
            protocol: flags.protocol,
            source: flags.from ?? (destination.startsWith('[') ? '::1' : '127.0.0.1'),
            destination,
          },
    ).toString()
    const ask = async (path: string): Promise<unknown> =>
      await restOf(flags, io).request('GET', `${path}?${query}`)
    const show = (found: { readonly steps: readonly string[] }, end: string): void => {
      if (flags.json) return io.out(`${JSON.stringify(found, null, 2)}\n`)
      found.steps.forEach((step, i) => io.out(`${i + 1}. ${printable(step)}\n`))
      io.out(`→ ${printable(end)}\n`)
    }
    if (isRequest) {
      const found = (await ask('/explain/request')) as WireRequestExplanation
      show(found, endOfRequest(found))
      return found.path === '' ? exit.failed : exit.ok
    }
    const found = (await ask('/explain')) as Explanation
    show(found, endOf(found))
    return found.backend === null && found.candidates === undefined ? exit.failed : exit.ok
  },
})

/** @throws CommandError of usage for what is neither form of the command, or a flag of the other one */
function checkForm(destination: string, isRequest: boolean, from: string | undefined, passed: number): void {
  if (isRequest && from !== undefined)
    throw usage('--from is for VIP:PORT: a path is explained for any client')
  if (!isRequest && passed > 0) throw usage('--passed is for a path such as /function/NAME')
  if (!isRequest && !isEndpoint(destination))
    throw usage(
      `"${destination}" is neither VIP:PORT, such as 10.0.2.15:4444 or [2001:db8::1]:80, nor a path such as /function/NAME`,
    )
  if (from !== undefined && familyOf(from) === null && !isEndpoint(from))
    throw usage(
      `--from cannot be "${from}": it takes an address, such as 192.0.2.7, 192.0.2.7:40000 or [2001:db8::7]:40000`,
    )
}

function isEndpoint(text: string): boolean {
  const endpoint = parseEndpoint(text)
  return endpoint !== null && familyOf(endpoint.host) !== null
}

function endOfRequest({ function: name, status, path, instances }: WireRequestExplanation): string {
  if (name === null && status === null) return 'no gateway runs'
  if (status !== null) return `the gateway answers ${status} by itself`
  const taking = instances.filter(({ out }) => out === '')
  if (taking.length === 0) return `function ${name}, waits for an instance`
  const [only] = taking
  if (taking.length === 1)
    return `function ${name}, ${only?.instance}, as ${only?.gateway ? 'it came' : path}`
  const shares = taking.map(({ instance, share }) => `${instance} (${percent(share)})`)
  return `function ${name}, one of ${shares.join(', ')}, as ${path}`
}

function endOf({ service, backend, candidates }: Explanation): string {
  if (service === null) return 'no service takes it'
  if (backend !== null) return `service ${service}, backend ${backend}`
  if (candidates !== undefined) return `service ${service}, one of ${candidates.join(', ')}`
  return `service ${service} has no backend for it`
}
