import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { GatewayFacts, GatewayRules } from '../api/functionFacts.ts'
import type { Listener } from '../api/listeners.ts'
import type { EventLog, Log } from '../control/events.ts'
import type { FunctionTarget } from '../control/functions.ts'
import { FunctionHealth } from '../control/functionHealth.ts'
import { FunctionTable } from '../control/functionTable.ts'
import { Gateway } from '../gateway/gateway.ts'
import { openFileLimit } from '../kernel/limits.ts'
import { endpointText, familyOf } from '../model/address.ts'
import type { DaemonOptions } from '../model/daemon.ts'
import { readInstance } from '../model/function.ts'
import { tokenCharacters } from '../model/token.ts'
import { startEtcd, type EtcdSource } from '../sources/etcd/etcd.ts'
import { etcdOptions } from '../sources/etcd/options.ts'
import { feedbackOptions } from '../sources/feedback/options.ts'
import { startFeedback } from '../sources/feedback/start.ts'
import type { Store } from '../store/store.ts'

/** Bytes; an HMAC with SHA-256 is as strong as its key up to here (RFC 2104 §3). */
const leastKeyBytes = 32
/** Below it `torb doctor` finds a problem, too. */
const fewDescriptors = 1024
/** As the edgerun balancer: what came from a gateway goes to an instance. */
const defaultHopLimit = 1

/** So long clients wait for functions that etcd may have. */
const etcdWaitMs = 2000

export interface FunctionParts {
  readonly options: DaemonOptions
  /** Where the gateway listens; null: there is none. */
  readonly place: Listener | null
  readonly store: Store
  readonly events: EventLog
  readonly log: Log
  readonly isOwnListener: (address: string, port: number) => boolean
  /** Health checks of instances that are open at a time. */
  readonly maxChecks: number
}

/** The functions of a daemon, where they come from, and the gateway that carries them out. */
export interface Functions extends AsyncDisposable {
  readonly table: FunctionTable
  readonly gateway: Gateway | null
  /** The gateway as the API shows it. */
  readonly shown: GatewayFacts | null
  readonly health: FunctionHealth | null
  readonly etcd: EtcdSource | null
  /** Lets the gateway serve, once etcd has been loaded or did not answer for a while. */
  begin(): Promise<void>
}

/**
 * Starts them in the order gateway, checks, stored functions, etcd, feedback.
 *
 * @throws Error with the cause and the cure; nothing stays behind
 */
export async function startFunctions(parts: FunctionParts): Promise<Functions> {
  const { place, store, events, log, isOwnListener } = parts
  const zones = [...new Set(parts.options.zones)]
  const options = { ...parts.options, zones }
  const etcdAccess = etcdOptions(options, process.env['TORB_ETCD_PASSWORD'])
  const feedback = feedbackOptions(options)
  const ended = new AsyncDisposableStack()
  try {
    const gateway = place === null ? null : await startGateway(options, place, events, log)
    ended.defer(() => gateway?.close())
    const health =
      gateway === null
        ? null
        : new FunctionHealth({
            target: gateway,
            isGateway: (instance) => options.gateway_peers?.includes(instance) ?? false,
            events,
            log,
            now: Date.now,
            maxInFlight: parts.maxChecks,
          })
    ended.defer(() => health?.close())
    const table = await FunctionTable.open({
      store,
      zones,
      target: health ?? nobody,
      events,
      now: Date.now,
      resolve: async (name) => (await lookup(name)).address,
      isOwnListener,
    })
    ended.defer(() => table.close())
    const etcd = etcdAccess === null ? null : startEtcd(etcdAccess, table.source('etcd'))
    ended.defer(() => etcd?.close())
    if (feedback !== null && gateway !== null) {
      const source = startFeedback(feedback, { table, gateway, events, log, etcd })
      ended.defer(() => source.close())
    }
    const begin = async (): Promise<void> => {
      const until = Date.now() + etcdWaitMs
      while (etcd?.status().state === 'starting' && Date.now() < until) await sleep(20)
      await table.published()
      gateway?.begin()
    }
    const shown = gateway === null ? null : gatewayFacts(gateway, options)
    return { table, gateway, shown, health, etcd, begin, [Symbol.asyncDispose]: () => ended.disposeAsync() }
  } catch (error) {
    await ended.disposeAsync()
    throw error
  }
}

/** Functions are kept also where no gateway runs. */
const nobody: FunctionTarget = { apply: () => Promise.resolve() }

async function startGateway(
  options: DaemonOptions,
  { address, port }: Listener,
  events: EventLog,
  log: Log,
): Promise<Gateway> {
  const { gateway_peers: peers = [], hop_key_file: keyFile } = options
  for (const peer of peers) checkPeer(peer)
  const { zones, dummy, hopLimit } = rulesOf(options)
  const gateway = await Gateway.start({
    address,
    port,
    transport: options.gateway_transport ?? 'auto',
    held: true,
    workers: options.gateway_workers ?? 0,
    zones,
    node: nodeName(options.gateway_node ?? hostname()),
    gateways: peers,
    dummy,
    unsignedPeers: options.hop_unsigned === true ? await addressesOf(peers, log) : [],
    hopKey: keyFile === undefined ? null : readKey(keyFile),
    hopLimit,
    accessLog:
      options.access_log === undefined
        ? undefined
        : { path: options.access_log, every: options.access_log_every ?? 1 },
    log,
    ejected: (instance, milliseconds) =>
      events.record({ at: Date.now(), type: 'instance-ejected', instance, milliseconds }),
  }).catch((error: unknown) => {
    throw new Error(whyNotStarted(error, options, endpointText(address, port)), { cause: error })
  })
  const where = { port: gateway.port, transport: gateway.transport, workers: gateway.workers, zones }
  log.info(where, 'gateway: listens')
  if (openFileLimit() < fewDescriptors)
    log.warn(
      { limit: openFileLimit() },
      'gateway: few descriptors for connections: raise the limit (ulimit -n, LimitNOFILE=)',
    )
  if (dummy)
    log.warn(
      {},
      'gateway: answers by itself (dummy) until a function is known; --gateway-handler wrr ends that',
    )
  return gateway
}

function gatewayFacts(gateway: Gateway, options: DaemonOptions): GatewayFacts {
  const { port, transport, workers } = gateway
  return {
    port,
    transport,
    workers,
    portableReason:
      options.gateway_transport === 'portable'
        ? 'asked for by --gateway-transport portable'
        : gateway.portableReason,
    rules: rulesOf(options),
    state: (name) => gateway.state(name),
    counters: () => gateway.counters(),
  }
}

function rulesOf(options: DaemonOptions): GatewayRules {
  return {
    zones: options.zones ?? [],
    dummy: options.gateway_handler === 'dummy',
    hopLimit: options.hop_limit ?? defaultHopLimit,
    vouched:
      options.hop_key_file !== undefined ? 'signed' : options.hop_unsigned === true ? 'unsigned' : 'nobody',
  }
}

/** Causes and cures of what bind(2) and listen(2) refuse; they come as codes in the text. */
const listenErrors = {
  EADDRINUSE: 'that port is in use already ("ss -ltnp" says by whom); choose another one with --gateway',
  EADDRNOTAVAIL: 'this host does not have that address (see "ip address"); choose one with --gateway',
  EACCES: 'ports below 1024 need CAP_NET_BIND_SERVICE; choose one above with --gateway',
} as const

function whyNotStarted(error: unknown, { access_log: file }: DaemonOptions, place: string): string {
  const { message, path } = error as NodeJS.ErrnoException
  if (file !== undefined && path === file)
    return `the access log ${file} cannot be written (${message}): name another file with --access-log`
  const code = (Object.keys(listenErrors) as (keyof typeof listenErrors)[]).find((name) =>
    message.includes(name),
  )
  return `the gateway cannot listen on ${place}: ${code === undefined ? message : listenErrors[code]}`
}

const notToken = new RegExp(`[^${tokenCharacters}]`, 'g')

/** What of a host's name stands in the name of a header field. */
function nodeName(text: string): string {
  return text.replaceAll(notToken, '-').slice(0, 100) || 'torb'
}

/** @throws Error that names the file */
function readKey(file: string): Uint8Array {
  let key: Uint8Array
  try {
    key = readFileSync(file)
  } catch (error) {
    throw new Error(`the hop key ${file} cannot be read: ${(error as Error).message}`, { cause: error })
  }
  if (key.length >= leastKeyBytes) return key
  throw new Error(
    `the hop key ${file} has ${key.length} bytes and needs ${leastKeyBytes}: make one with "openssl rand -base64 48"`,
  )
}

/** One that can be no instance would never be known as a gateway. @throws Error that names it */
function checkPeer(peer: string): void {
  try {
    readInstance(peer)
  } catch (error) {
    throw new Error(
      `the gateway peer "${peer}" is no host[:port]: write it as it stands among the instances, without scheme and path`,
      { cause: error },
    )
  }
}

/** As of now; a name that does not resolve is not believed. */
async function addressesOf(peers: readonly string[], log: Log): Promise<string[]> {
  const found = await Promise.all(
    peers.map(async (peer) => {
      const { host } = readInstance(peer)
      if (familyOf(host) !== null) return [host]
      try {
        return (await lookup(host, { all: true })).map(({ address }) => address)
      } catch (error) {
        log.warn({ peer }, `gateway: the name of a peer does not resolve: ${(error as Error).message}`)
        return []
      }
    }),
  )
  return found.flat()
}
