import { z } from 'zod'
import { addressBytes, familyOf } from './address.ts'
import { backendBody } from './backend.ts'
import { isInterval } from './duration.ts'
import { functionBody } from './function.ts'
import { planeNames } from './names.ts'
import { isOvsdbAddress, splitAddresses } from './ovsdbAddress.ts'
import { serviceBody } from './service.ts'
import { tokenCharacters } from './token.ts'

const path = z.string().min(1).max(4096)
const seconds = z.number().int().min(1).max(31_536_000)
const interfaceName = z.string()

/** One or several members of a cluster, as a list or with commas between them. */
const ovsdb = z
  .union([z.string().max(4096), z.array(z.string().max(4096))], {
    error: 'must be a text or a list of texts',
  })
  .transform((given) => splitAddresses(typeof given === 'string' ? [given] : given))
  .refine((list) => list.length > 0 && list.every(isOvsdbAddress), {
    error: 'must be unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, or several of these with commas between',
  })

/** The daemon's own options: each is a flag of `torb serve` and a key of the configuration file; the flag wins. */
export const daemonOptions = z.strictObject({
  listen: z.string().describe('where the REST API listens, [HOST]:PORT').optional(),
  interface: z.string().describe('interface whose first address is the default virtual address').optional(),
  vip_interface: interfaceName
    .describe('interface that gets each virtual address as /32 or /128 while a service uses it')
    .optional(),
  consul: z
    .string()
    .refine((text) => /^https?:$/.test(protocolOf(text)), {
      error: 'must be the URL of a Consul agent, such as http://127.0.0.1:8500',
    })
    .describe('Consul agent in which every service is registered; CONSUL_HTTP_TOKEN holds its token')
    .optional(),
  flush: z
    .boolean()
    .describe('remove what the plane holds before the stored services are applied')
    .optional(),
  adopt: z
    .boolean()
    .describe(
      'take over an equal service that somebody else made in the plane, instead of refusing it; of OVN all of them at the start',
    )
    .optional(),
  observe: z
    .boolean()
    .describe('only report what somebody changes behind Torb in a plane, instead of repairing it')
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
  ovn_nb: ovsdb.describe('northbound database of OVN (plane ovn); of a cluster all members').optional(),
  ovn_sb: ovsdb.describe('southbound database of OVN, for health and what has taken effect').optional(),
  ovn_owner: z
    .string()
    .regex(
      /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
      'must be at most 63 letters, digits, dots, dashes and underscores',
    )
    .describe(
      "mark of what is this Torb's in the northbound database; of several Torbs with one mark only one writes",
    )
    .optional(),
  ovn_ca: path.describe('authority of the certificates of these databases, PEM').optional(),
  ovn_cert: path.describe('certificate to show to them, PEM').optional(),
  ovn_key: path.describe('its key, PEM').optional(),
  ovn_vswitchd: path
    .refine(
      (text) => splitAddresses([text]).every((one) => one !== ''),
      'must have a path before and after each comma',
    )
    .describe(
      'run directory or control socket of ovs-vswitchd on this machine, by which open connections are seen; of several with commas',
    )
    .optional(),
  tcp_timeout: seconds.describe('idle TCP connections end after so many seconds').optional(),
  tcpfin_timeout: seconds.describe('half-closed TCP connections end after so many idle seconds').optional(),
  udp_timeout: seconds.describe('UDP flows end after so many idle seconds').optional(),
  sync_master: interfaceName
    .describe('interface on which the kernel tells other directors of its connections (plane ipvs)')
    .optional(),
  sync_backup: interfaceName
    .describe('interface on which the kernel learns the connections of other directors (plane ipvs)')
    .optional(),
  sync_id: z
    .number()
    .int()
    .min(0)
    .max(255)
    .describe(
      'number of the group of directors that share connections; a backup of group 0 takes those of all',
    )
    .optional(),
  sync_group: z
    .string()
    .refine(isMulticast, { error: 'must be a multicast address, such as 224.0.0.81 or ff02::100' })
    .describe('multicast group of the directors')
    .optional(),
  sync_port: z.number().int().min(1).max(65_535).describe('UDP port of the group').optional(),
  sync_ttl: z.number().int().min(1).max(255).describe('how many routers the connections may pass').optional(),
  // 65535 less the headers of IPv4 and UDP.
  sync_maxlen: z
    .number()
    .int()
    .min(1)
    .max(65_507)
    .describe('bytes of a datagram with connections')
    .optional(),
  log_json: z.boolean().describe('the log is JSON on a terminal too').optional(),
  gateway: z
    .string()
    .describe('runs the function gateway as well, on this place of its own: [ADDR]:PORT')
    .optional(),
  zones: z
    .array(
      z
        .string()
        .max(255)
        .regex(/^[^/\s\p{Cc}]*$/u, 'must have no slash and no blank: it is one part of the keys in etcd'),
    )
    .describe('zone whose functions are served; of several, the first that has a function decides')
    .optional(),
  gateway_node: z
    .string()
    .regex(
      new RegExp(`^[${tokenCharacters}]{1,100}$`),
      'must be at most 100 letters, digits, dots and dashes',
    )
    .describe('name of this node in the headers of forwarded requests')
    .optional(),
  gateway_peers: z
    .array(z.string().min(1).max(300))
    .describe('another gateway, host[:port], as it stands among the instances of functions')
    .optional(),
  gateway_handler: z
    .enum(['wrr', 'dummy'])
    .describe('dummy: answers of its own while no function is known')
    .optional(),
  gateway_transport: z
    .enum(['auto', 'ring', 'portable'])
    .describe('io_uring, or node:net where it is not to be had')
    .optional(),
  gateway_workers: z.number().int().min(1).max(256).describe('threads of the gateway').optional(),
  access_log: path
    .describe('file of the access log of gateway and http services, opened anew on SIGHUP')
    .optional(),
  access_log_every: z
    .number()
    .int()
    .min(1)
    .max(1_000_000)
    .describe('of so many requests one is logged')
    .optional(),
  hop_key_file: path
    .describe('secret that all gateways share, at least 32 bytes: hops between them are signed with it')
    .optional(),
  hop_limit: z
    .number()
    .int()
    .min(1)
    .max(8)
    .describe(
      'gateways that a request passes at most before one that has to answer it by an instance of its own',
    )
    .optional(),
  hop_unsigned: z
    .boolean()
    .describe('believe the bare X-Forwarded-For of gateways that do not sign, by their addresses')
    .optional(),
  etcd: z
    .array(z.string().max(1024))
    .describe('member of the etcd cluster that has the functions, host:port or a URL')
    .optional(),
  etcd_user: z
    .string()
    .max(255)
    .describe('user of etcd; TORB_ETCD_PASSWORD or the file has the password')
    .optional(),
  etcd_password_file: path.describe('holds the password for etcd').optional(),
  etcd_ca: path.describe('authority of the certificates of etcd, PEM').optional(),
  etcd_cert: path.describe('certificate to show to etcd, PEM').optional(),
  etcd_key: path.describe('its key, PEM').optional(),
  etcd_max_loss: z
    .number()
    .int()
    .min(1)
    .max(100)
    .describe('per cent of the instances of a zone that etcd may take away at once')
    .optional(),
  feedback: z.boolean().describe("moves functions' weights toward equal response time").optional(),
  feedback_interval: z
    .string()
    .refine(isInterval, { error: 'must be a time of whole seconds, such as 5s' })
    .describe('how often feedback decides')
    .optional(),
  feedback_max_step: z
    .number()
    .int()
    .min(1)
    .max(50)
    .describe('per cent by which feedback changes a weight at most at a time')
    .optional(),
  feedback_floor: z
    .number()
    .int()
    .min(1)
    .max(100)
    .describe('per cent of its configured weight that feedback leaves to an instance')
    .optional(),
  feedback_etcd: z
    .boolean()
    .describe('feedback also writes its weights to etcd, for the other gateways of the zone')
    .optional(),
})
export type DaemonOptions = z.output<typeof daemonOptions>

/** '' where the text is no URL. */
function protocolOf(text: string): string {
  return URL.canParse(text) ? new URL(text).protocol : ''
}

function isMulticast(text: string): boolean {
  const family = familyOf(text)
  const first = family === null ? 0 : (addressBytes(text)[0] ?? 0)
  return family === 4 ? first >= 224 && first <= 239 : first === 0xff
}

/** The whole configuration file: the options above and the objects. */
export const configFile = daemonOptions.extend({
  services: z
    .record(
      z.string().min(1),
      serviceBody.extend({ backends: z.record(z.string().min(1), backendBody).optional() }),
    )
    .optional(),
  functions: z.record(z.string().min(1), functionBody).optional(),
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
