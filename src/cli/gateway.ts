import { daemonOptions, type DaemonOptions } from '../model/daemon.ts'
import { nearest } from '../model/nearest.ts'
import { splitEndpoints } from '../sources/etcd/access.ts'
import { defineCommand } from './command.ts'
import { exit, usage } from './exit.ts'
import { runDaemon, serve, startOptions } from './serve.ts'
import { absentFlags, serveFlags } from './serveFlags.ts'

/** Where neither flags nor environment nor file say anything: as the edgerun balancer's README has it. */
const usual: DaemonOptions = {
  gateway: ':8080',
  gateway_handler: 'dummy',
  etcd: ['localhost:2379'],
  // A gateway needs nothing of the kernel's tables.
  plane: 'userspace',
}

/** Those of the edgerun balancer. */
const variables: readonly (readonly [name: string, about: string])[] = [
  ['eb_go_lb_zone', 'the zone; needed where --zone and the file name none'],
  [
    'eb_go_lb_etcd_host',
    'members of etcd, blanks between them (default localhost:2379); empty: there is no etcd',
  ],
  ['eb_go_lb_handler_type', 'dummy (default): answers by itself until a function is known; or wrr'],
  ['eb_go_lb_mode', 'dev (default), or prod: the log is JSON on a terminal too'],
  ['eb_go_lb_node_name', 'name in the headers of forwarded requests (default: that of the host)'],
  ['eb_go_lb_listen_port', 'port of the gateway on all addresses (default 8080)'],
  ['eb_go_lb_gateways', 'other gateways as they stand among instances, host[:port], blanks between them'],
]

export const gateway = defineCommand({
  page: {
    synopsis: [
      'torb gateway [-l [HOST]:PORT] [--zone ZONE] [--etcd HOST:PORT ...] [--gateway [ADDR]:PORT] ...',
    ],
    description: [
      'Runs the function gateway in the foreground: requests to /function/NAME go to the instances of the function, by weights that come from etcd, the REST API and the configuration file. It is "torb serve" with the settings of the edgerun load balancer: those are read from its environment, and the flags and keys of "torb serve" are all understood. A flag wins over the environment, the environment over the file.',
      'When API and gateway answer, one line is printed to standard output, "torb ready http://HOST:PORT plane=NAME"; the log goes to standard error.',
    ],
    examples: [
      ['eb_go_lb_zone=zone-b eb_go_lb_handler_type=wrr torb gateway', 'as the edgerun balancer is started'],
      [
        'torb gateway --zone here --etcd "" --gateway :8080 --gateway-handler wrr',
        'without etcd: functions by the REST API and the file',
      ],
    ],
    exit: [
      [exit.ok, 'ended by SIGTERM or SIGINT, in order'],
      [exit.failed, 'could not start, or did not end within the limit; the reason is on standard error'],
      [exit.usage, 'a flag or a variable is unknown or has a wrong value, or there is no zone'],
    ],
    files: serve.page.files ?? [],
    environment: [...variables, ['TORB_ETCD_PASSWORD', 'password of the user of --etcd-user']],
    see: ['torb serve', 'torb functions', 'torb doctor'],
  },
  flags: serveFlags,
  absentFlags,
  operands: { min: 0, max: 0, name: '' },

  async run({ flags, io }) {
    const options = { ...fromEnvironment(io.env), ...startOptions(flags) }
    if (options.zones === undefined && options.config === undefined)
      throw usage('the zone of this gateway is not known: set eb_go_lb_zone, or give --zone NAME')
    return await runDaemon('torb gateway', io, options, usual)
  },
})

/**
 * The settings of the edgerun balancer (contract of its README and code).
 *
 * @throws Error of usage, which names the variable
 */
export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): DaemonOptions {
  const stranger = Object.keys(environment).find(
    (name) => name.startsWith('eb_go_lb_') && !variables.some(([known]) => known === name),
  )
  if (stranger !== undefined) {
    const names = variables.map(([name]) => name)
    const near = nearest(stranger, names)
    const cure = near === null ? `there are ${names.join(', ')}` : `did you mean ${near}?`
    throw usage(`unknown variable ${stranger}: ${cure}`)
  }
  const value = (name: string): string | undefined => environment[`eb_go_lb_${name}`]
  const zone = value('zone')
  const etcd = value('etcd_host')
  const port = value('listen_port')
  const peers = value('gateways')
  const node = value('node_name') ?? environment['HOSTNAME']
  const handler = value('handler_type')?.toLowerCase()
  if (handler !== undefined && handler !== 'dummy' && handler !== 'wrr')
    throw usage(`eb_go_lb_handler_type is "${value('handler_type')}": it takes dummy or wrr`)
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535))
    throw usage(`eb_go_lb_listen_port is "${port}": it takes a port`)
  const badZone = daemonOptions.shape.zones.safeParse(zone === undefined ? [] : [zone]).error?.issues[0]
  if (badZone !== undefined) throw usage(`eb_go_lb_zone is "${zone}": it ${badZone.message}`)
  return {
    ...(zone === undefined ? {} : { zones: [zone] }),
    ...(etcd === undefined ? {} : { etcd: splitEndpoints(etcd) }),
    ...(port === undefined ? {} : { gateway: `:${port}` }),
    ...(peers === undefined ? {} : { gateway_peers: splitEndpoints(peers) }),
    ...(node === undefined || node === '' ? {} : { gateway_node: node }),
    ...(handler === undefined ? {} : { gateway_handler: handler }),
    ...(value('mode') === 'prod' ? { log_json: true } : {}),
  }
}
