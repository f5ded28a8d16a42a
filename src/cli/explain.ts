import { defineCommand } from './command.ts'
import { exit } from './exit.ts'
import { apiEnvironment, apiExit, apiFlags, restOf } from './rest.ts'
import { protocolNames } from '../model/names.ts'
import { printable } from './table.ts'

interface Explanation {
  readonly service: string | null
  readonly backend: string | null
  readonly candidates?: readonly string[]
  readonly steps: readonly string[]
}

export const explain = defineCommand({
  page: {
    synopsis: ['torb explain [--from ADDRESS[:PORT]] [--protocol tcp|udp|sctp|http] VIP:PORT'],
    description: [
      'Says where a connection from a client to a virtual address would go now, and why, step by step: the service that takes it, the backends that are out, affinity, and the choice of the scheduler. No packet is sent and nothing is changed.',
    ],
    examples: [['torb explain --from 192.0.2.7 10.0.2.15:4444', 'why a client lands where it does']],
    exit: [
      [exit.ok, 'a backend would take it'],
      [exit.failed, 'none would, or the API refused'],
      ...apiExit.slice(1),
    ],
    environment: apiEnvironment,
    see: ['torb services'],
  },
  flags: {
    ...apiFlags,
    from: {
      kind: 'string',
      value: 'ADDRESS[:PORT]',
      about: 'the client; else this host, by its loopback address',
    },
    protocol: { kind: 'string', about: 'transport protocol', choices: protocolNames, default: 'tcp' },
  },
  operands: { min: 1, max: 1, name: 'VIP:PORT' },

  async run({ flags, operands, io }) {
    const [destination = ''] = operands
    const query = new URLSearchParams({
      protocol: flags.protocol,
      source: flags.from ?? (destination.startsWith('[') ? '::1' : '127.0.0.1'),
      destination,
    })
    const found = (await restOf(flags, io).request('GET', `/explain?${query.toString()}`)) as Explanation
    if (flags.json) io.out(`${JSON.stringify(found, null, 2)}\n`)
    else {
      found.steps.forEach((step, i) => io.out(`${i + 1}. ${printable(step)}\n`))
      io.out(`→ ${printable(endOf(found))}\n`)
    }
    return found.backend === null && found.candidates === undefined ? exit.failed : exit.ok
  },
})

function endOf({ service, backend, candidates }: Explanation): string {
  if (service === null) return 'no service takes it'
  if (backend !== null) return `service ${service}, backend ${backend}`
  if (candidates !== undefined) return `service ${service}, one of ${candidates.join(', ')}`
  return `service ${service} has no backend for it`
}
