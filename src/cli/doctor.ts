import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { defaultListen, parseEndpoint } from '../api/endpoint.ts'
import { isUnspecified } from '../api/listeners.ts'
import { endpointText } from '../model/address.ts'
import type { DaemonOptions } from '../model/daemon.ts'
import { defineCommand, type Io } from './command.ts'
import { diagnose } from './diagnosis.ts'
import { readFacts } from './doctorFacts.ts'
import { readGatewayFacts } from './doctorGateway.ts'
import type { Finding } from './finding.ts'
import { CommandError, exit } from './exit.ts'
import type { FlagTable, Values } from './goFlags.ts'
import { apiEnvironment, apiFlags, restOf } from './rest.ts'
import { startOptions } from './serve.ts'
import { serveFlags } from './serveFlags.ts'
import { paint, type Style } from './table.ts'

const styles: Readonly<Record<Finding['level'], Style>> = { ok: 'green', note: 'yellow', problem: 'red' }

/** The flag of `torb serve`. */
const ovnFlag = <K extends 'list' | 'string'>(name: string, kind: K) => ({
  kind,
  value: serveFlags[name]?.value ?? '',
  about: serveFlags[name]?.about ?? '',
})

export const doctor = defineCommand({
  page: {
    synopsis: [
      'torb doctor [--config FILE] [--api URL] [--token-file FILE] [--ovn-nb ADDRESS] [--ovn-sb ADDRESS] [--ovn-vswitchd PATH] [--json]',
    ],
    description: [
      'Says what Torb can do on this machine as this user: runtime, privileges, open files and how many connections they allow, low ports, the plane that "torb serve" would take and why no better one, what the data planes in the kernel need (IPVS with its schedulers, forwarding, eBPF) and the fast path of the userspace plane and the function gateway (io_uring). Where OVN is configured, by the file or by flags, it says whether its databases and each ovs-vswitchd of this machine answer. Each line is a fact; where something is missing the cure follows.',
      'Where a Torb runs (at --api, else where "listen" of FILE says) it also says how its function gateway stands: what it runs on and why, how old its sources are and what is amiss with them, keys that cannot be used, functions without a usable instance, instances that are left out, and queues. That none answers is a problem only where --api is given. Nobody is asked where FILE leaves the port to the start (port 0). The token is that of --token-file or TORB_TOKEN, else the one that "token_file" of FILE names, or that lies in its "data", where this user may read it.',
      '"note" means that Torb works and something better is possible, "problem" that it will not do its work. The open files are those of this shell: a service manager sets its own.',
    ],
    examples: [
      ['torb doctor', 'as the user who will run "torb serve"'],
      [
        'torb doctor --config /etc/torb.yaml',
        'for a Torb with this file: its plane, its OVN, and its gateway where it runs',
      ],
      ['torb doctor --api http://127.0.0.1:4673', 'and how the gateway of that Torb stands'],
      ['torb doctor --ovn-nb unix:/run/ovn/ovnnb_db.sock', 'does OVN answer?'],
    ],
    exit: [
      [exit.ok, 'no problem'],
      [exit.failed, 'at least one problem'],
      [exit.usage, 'a flag is wrong'],
      [exit.data, 'FILE cannot be read or has a mistake'],
    ],
    files: [
      ['/proc/self/limits, /proc/self/status', 'limits and capabilities'],
      ['/proc/sys/kernel, /proc/sys/net', 'what the kernel allows'],
      ['/proc/net/ip_vs, /proc/modules, /lib/modules', 'whether there is IPVS, and which schedulers'],
    ],
    environment: apiEnvironment,
    see: ['torb serve', 'torb gateway', 'torb functions', 'torb explain', 'torb planes'],
  },
  flags: {
    json: { kind: 'boolean', about: 'prints facts and findings as JSON', default: false },
    // No default, which tells whether a Torb must be there.
    api: {
      kind: 'string',
      value: 'URL',
      about: `where a running Torb is asked; else where FILE has it listen, or ${apiFlags.api.default}`,
    },
    'token-file': apiFlags['token-file'],
    config: { kind: 'string', value: 'FILE', about: 'configuration file of the daemon' },
    'ovn-nb': ovnFlag('ovn-nb', 'list'),
    'ovn-sb': ovnFlag('ovn-sb', 'list'),
    'ovn-ca': ovnFlag('ovn-ca', 'string'),
    'ovn-cert': ovnFlag('ovn-cert', 'string'),
    'ovn-key': ovnFlag('ovn-key', 'string'),
    'ovn-vswitchd': ovnFlag('ovn-vswitchd', 'string'),
  },
  operands: { min: 0, max: 0, name: '' },

  async run({ flags, io }) {
    const { api } = flags
    const options = await optionsOf(flags)
    const place = api ?? apiOf(options)
    const rest =
      place === null
        ? null
        : restOf({ ...flags, 'token-file': tokenFileOf(flags['token-file'], options, io), api: place }, io)
    const facts = await readFacts(options, async () =>
      rest === null ? null : await readGatewayFacts(rest, api !== undefined),
    )
    const findings = diagnose(facts)
    if (flags.json) {
      const { capabilities, ...rest } = facts
      const plain = { ...rest, capabilities: capabilities === null ? null : `0x${capabilities.toString(16)}` }
      io.out(`${JSON.stringify({ facts: plain, findings }, null, 2)}\n`)
    } else {
      for (const { level, subject, fact, cure } of findings) {
        const mark = level.padEnd(8)
        io.out(`${io.colour ? paint(styles[level], mark) : mark}${subject}: ${fact}\n`)
        if (cure !== '') io.out(`        → ${cure}\n`)
      }
    }
    return findings.some(({ level }) => level === 'problem') ? exit.failed : exit.ok
  },
})

/**
 * Where the token is: the flag, else TORB_TOKEN, else where the configuration file has the daemon keep it. One that
 * this user may not read is left out, since the daemon may trust him without it, and else says what it wants.
 */
function tokenFileOf(
  given: string | undefined,
  { token_file: named, data }: DaemonOptions,
  { env }: Pick<Io, 'env'>,
): string | undefined {
  const file = named ?? (data === undefined ? undefined : join(data, 'token'))
  if (given !== undefined || file === undefined || (env['TORB_TOKEN'] ?? '') !== '') return given
  try {
    accessSync(file, constants.R_OK)
    return file
  } catch {
    return undefined
  }
}

/** The daemon's options, as far as they are asked for here. @throws CommandError for a file with a mistake */
async function optionsOf(flags: Values<FlagTable>): Promise<DaemonOptions> {
  const { config } = flags
  const given = startOptions(flags)
  if (typeof config !== 'string') return given
  // The parsers are only loaded by those who have a file.
  const { readConfigFile } = await import('../sources/file/file.ts')
  const result = await readConfigFile(config)
  if (!result.ok) throw new CommandError(exit.data, result.errors.join('\n'))
  return { ...result.options, ...given }
}

/**
 * Where the API of a Torb with these options answers; null where its start chooses the port.
 *
 * @throws CommandError where `listen` is no place
 */
export function apiOf({ listen = defaultListen, tls_cert: certificate }: DaemonOptions): string | null {
  const place = parseEndpoint(listen)
  if (place === null) {
    const cure = 'give [HOST]:PORT, such as :4672 or 127.0.0.1:4672'
    throw new CommandError(
      exit.data,
      `the API cannot listen on "${listen}" of the configuration file: ${cure}`,
    )
  }
  const { host, port } = place
  if (port === 0) return null
  const reachable = host === '' || isUnspecified(host) ? '127.0.0.1' : host
  return `${certificate === undefined ? 'http' : 'https'}://${endpointText(reachable, port)}`
}
