import { z } from 'zod'
import { backendBody } from './backend.ts'
import { planeNames } from './names.ts'
import { serviceBody } from './service.ts'

const path = z.string().min(1).max(4096)
const seconds = z.number().int().min(1).max(31_536_000)

/** The daemon's own options: each is a flag of `torb serve` and a key of the configuration file; the flag wins. */
export const daemonOptions = z.strictObject({
  listen: z.string().describe('where the REST API listens, [HOST]:PORT').optional(),
  interface: z.string().describe('interface whose first address is the default virtual address').optional(),
  flush: z
    .boolean()
    .describe('remove what the plane holds before the stored services are applied')
    .optional(),
  verbose: z.boolean().describe('log at level debug').optional(),
  plane: z
    .enum(['auto', ...planeNames])
    .describe('data plane')
    .optional(),
  data: path.describe('directory of the durable state').optional(),
  token_file: path.describe('file that holds the API token; default DATA/token').optional(),
  local_trust: z
    .enum(['any', 'same-user', 'none'])
    .describe('who needs no token: anybody on this host, the same user, nobody')
    .optional(),
  host_names: z
    .array(z.string())
    .describe('further names by which local clients may call this host')
    .optional(),
  tls_cert: path.describe('certificate of the API, PEM').optional(),
  tls_key: path.describe('its key, PEM').optional(),
  tls_client_ca: path
    .describe('authority whose client certificates stand instead of the token, PEM')
    .optional(),
  tcp_timeout: seconds.describe('idle TCP connections end after so many seconds').optional(),
  tcpfin_timeout: seconds.describe('half-closed TCP connections end after so many idle seconds').optional(),
  udp_timeout: seconds.describe('UDP flows end after so many idle seconds').optional(),
})
export type DaemonOptions = z.output<typeof daemonOptions>

/** IPVS's time-outs in seconds (ip_vs_proto_tcp.c, ip_vs_proto_udp.c; GORB's flags have the same defaults). */
export const defaultTimeouts = { tcp: 28_800, tcpfin: 120, udp: 300 } as const

/** The whole configuration file: the options above and the objects. */
export const configFile = daemonOptions.extend({
  services: z
    .record(
      z.string().min(1),
      serviceBody.extend({ backends: z.record(z.string().min(1), backendBody).optional() }),
    )
    .optional(),
})
export type ConfigFile = z.output<typeof configFile>

/** Where the durable state lies by default: root keeps it where services do (FHS), others where the XDG base directories say. */
export function defaultDataDirectory(
  environment: Readonly<Record<string, string | undefined>>,
  home: string,
  isRoot: boolean,
): string {
  if (isRoot) return '/var/lib/torb'
  return `${environment['XDG_STATE_HOME'] || `${home}/.local/state`}/torb`
}
