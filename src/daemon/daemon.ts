import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { homedir, hostname } from 'node:os'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { Addresses } from '../announce/address/addresses.ts'
import { withAddresses } from '../announce/address/plane.ts'
import type { Announcer } from '../announce/announcer.ts'
import { startConsul } from '../announce/consul/consul.ts'
import { defaultListen, listenPlace } from '../api/endpoint.ts'
import { isOwnListener, isSamePlace, isUnspecified, type Listener } from '../api/listeners.ts'
import { startApi, type Api } from '../api/server.ts'
import { EventLog, type TorbEvent } from '../control/events.ts'
import { planesInLedger } from '../control/ledger.ts'
import { openControl, type OpenControl } from '../control/open.ts'
import { bucket } from '../control/records.ts'
import { defaultInterface, firstAddress } from '../kernel/interfaces.ts'
import { openFileLimit } from '../kernel/limits.ts'
import { openLog } from '../log.ts'
import { endpointText } from '../model/address.ts'
import { defaultDataDirectory, type DaemonOptions } from '../model/daemon.ts'
import type { PlaneName } from '../model/names.ts'
import { withoutUndefined } from '../model/pulse.ts'
import { choosePlanes } from '../planes/choose.ts'
import type { Plane } from '../planes/plane.ts'
import type { ConfigFileResult } from '../sources/file/file.ts'
import { openStore } from '../store/sqlite.ts'
import type { Store } from '../store/store.ts'
import { startFunctions, type Functions } from './functions.ts'

export const version = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version

export interface Daemon {
  /** Where the REST API answers, such as http://127.0.0.1:4672. */
  readonly url: string
  readonly plane: PlaneName
  /** Where the function gateway listens; null: none was asked for. */
  readonly gatewayPort: number | null
  /** Reads the configuration file again; a file with a mistake changes nothing and is logged with its line. */
  reload(): Promise<void>
  /** Ends in order: nothing new, what is in flight within a limit, a kernel's state left in place. */
  close(): Promise<void>
}

/**
 * Starts Torb: store, planes, control, functions, API, configuration file, in this order.
 *
 * @param usual options that flags and file go before
 * @throws Error with the cause and the cure; nothing stays behind
 */
export async function startDaemon(
  flags: DaemonOptions & { readonly config?: string | undefined },
  usual: DaemonOptions = {},
): Promise<Daemon> {
  const file = flags.config === undefined ? null : await readConfig(flags.config)
  const { config: _file, ...given } = flags
  const options: DaemonOptions = { ...usual, ...file?.options, ...withoutUndefined(given) }
  const log = openLog(options.verbose ?? false, options.log_json ?? false)
  const ended = new AsyncDisposableStack()
  try {
    const data = resolve(
      options.data ?? defaultDataDirectory(process.env, homedir(), process.getuid?.() === 0),
    )
    const store = await openStore(data, { log: (text) => log.debug(text) })
    ended.defer(() => store.close())
    const network = defaultInterface(options.interface)
    const used = planesInLedger(await store.load(bucket.ledger))
    const addresses = await openAddresses(options.vip_interface ?? null, store, log)
    ended.defer(() => addresses?.close())
    const planes = new Map(
      [...(await choosePlanes(options, used, log))].map(([name, plane]) => [
        name,
        // What is attached to a virtual network has its addresses there.
        addresses === null || plane.can.attach ? plane : withAddresses(plane, addresses),
      ]),
    )
    const [defaultPlane] = planes.keys()
    if (defaultPlane === undefined) throw new Error('no data plane is open')

    // A virtual address that Torb added is no address of the interface's own.
    const defaultHost = (): string | null =>
      network === null ? null : firstAddress(network, (address) => addresses?.isOwn(address) ?? false)

    const events = new EventLog()
    // Where the API is going to listen: stored backends are applied before it does.
    const place = await listenPlace('the API', options.listen ?? defaultListen)
    const gatewayPlace =
      options.gateway === undefined ? null : await listenPlace('the gateway', options.gateway)
    if (gatewayPlace !== null && isSamePlace(place, gatewayPlace))
      throw new Error(
        `the gateway cannot listen on ${endpointText(gatewayPlace.address, gatewayPlace.port)}: Torb's own API listens on ` +
          `${endpointText(place.address, place.port)}; give another port with --gateway, or the API another one with -l`,
      )
    events.subscribe(({ event }) => logEvent(log, event))
    let api: Api | null = null
    const announcers: Announcer[] = []
    // An eighth of the descriptors for the checks of services and of functions each: the rest is for traffic and the API.
    const maxChecks = Math.min(4096, Math.max(16, Math.floor(openFileLimit() / 8)))
    const isOwn = (address: string, port: number): boolean => isOwnListener([api ?? place], address, port)
    const control = await openControl({
      store,
      planes,
      defaultPlane,
      events,
      flush: options.flush ?? false,
      adopt: options.adopt ?? false,
      observe: options.observe ?? false,
      maxChecks,
      now: Date.now,
      log,
      resolve: async (name) => (await lookup(name)).address,
      defaultHost,
      isOwnListener: isOwn,
    })
    ended.defer(() => control.close())
    const functions = ended.use(
      await startFunctions({
        options,
        place: gatewayPlace,
        store,
        events,
        log,
        isOwnListener: isOwn,
        maxChecks,
      }),
    )

    api = await startApi({
      control,
      options,
      data,
      version,
      log,
      announcers: () => announcers.map((announcer) => announcer.status()),
      functions: {
        table: functions.table,
        gateway: () => functions.shown,
        health: () => functions.health,
        etcd: () => functions.etcd,
      },
    })
    ended.defer(() => api?.close())
    await takeOver(control, functions, flags.config, file)
    // What the file names has taken its own over by now.
    await control.importForeign()
    await addresses?.settle()
    await functions.begin()
    if (options.consul !== undefined) {
      const consul = startConsul(control, {
        url: options.consul,
        token: process.env['CONSUL_HTTP_TOKEN'],
        self: reached(api, defaultHost),
        // The same after a restart, another one for each Torb of an agent.
        instance: `${hostname()} ${data}`,
        log,
        now: Date.now,
        random: Math.random,
      })
      announcers.push(consul)
      ended.defer(() => consul.close())
    }
    events.record({ at: Date.now(), type: 'ready', plane: defaultPlane })
    return {
      url: api.url,
      plane: defaultPlane,
      gatewayPort: functions.gateway?.port ?? null,
      async reload() {
        await reopenLogs(functions, planes.values(), log)
        if (flags.config === undefined) {
          log.warn(
            'SIGHUP: there is no configuration file to read again; start Torb with --config FILE to have one',
          )
          return
        }
        try {
          await takeOver(control, functions, flags.config, await readConfig(flags.config))
          log.info(
            'services and functions are those of the file; other options take effect at the next start',
          )
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error)
          control.events.record({ at: Date.now(), type: 'config-refused', file: flags.config, message })
        }
      },
      close: () => ended.disposeAsync(),
    }
  } catch (error) {
    await ended.disposeAsync()
    throw error
  }
}

/** The addresses that virtual services bring along; null: none are wanted and no earlier run has left any. */
async function openAddresses(
  interfaceName: string | null,
  store: Store,
  log: Logger,
): Promise<Addresses | null> {
  if (interfaceName === null && (await store.load('address')).length === 0) return null
  return await Addresses.open({ interface: interfaceName, store, log })
}

/** Where others reach the API; an API on all addresses by the default one. null: the interface has none. */
function reached({ address, port }: Listener, defaultHost: () => string | null): Listener | null {
  if (!isUnspecified(address)) return { address, port }
  const shown = defaultHost()
  return shown === null ? null : { address: shown, port }
}

type Config = Extract<ConfigFileResult, { ok: true }>

/** @throws Error with file:line:column and the line for each mistake */
async function readConfig(file: string): Promise<Config> {
  // The parsers are only loaded by those who have a file.
  const { readConfigFile } = await import('../sources/file/file.ts')
  const result = await readConfigFile(file)
  if (result.ok) return result
  throw new Error(result.errors.join('\n'))
}

/** Makes the file's services and functions those of Torb; without a file there are none of it. @throws Error with the place in the file */
async function takeOver(
  control: OpenControl,
  functions: Functions,
  path: string | undefined,
  file: Config | null,
): Promise<void> {
  const configured = file?.functions ?? new Map()
  // First all that may be refused: a file with a mistake changes nothing.
  functions.table.checkConfigured(configured)
  const outcome = await control.replaceConfigured(file?.services ?? [])
  if (!outcome.ok)
    throw new Error(`${file?.place(outcome.service, outcome.backend) ?? ''}: ${outcome.message}`)
  functions.table.replaceConfigured(configured)
  await functions.table.published()
  if (path === undefined) return
  control.events.record({
    at: Date.now(),
    type: 'config-loaded',
    file: path,
    message: `services changed: ${outcome.changes}`,
  })
}

async function reopenLogs({ gateway }: Functions, planes: Iterable<Plane>, log: Logger): Promise<void> {
  try {
    gateway?.reopenLog()
    for (const plane of planes) await plane.reopenLog?.()
  } catch (error) {
    log.warn(`the access log stays where it was: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const warnings: ReadonlySet<TorbEvent['type']> = new Set([
  'backend-down',
  'instance-down',
  'instance-ejected',
  'plane-drift',
  'plane-failed',
  'plane-lagging',
  'advice',
  'config-refused',
  'function-rejected',
])

/** What operators must see is a warning; the rest is information. */
function logEvent(log: Logger, { at: _at, ...event }: TorbEvent): void {
  const { type, ...fields } = event
  const isWarning = warnings.has(type) || (event.type === 'source-changed' && event.state !== 'current')
  log[isWarning ? 'warn' : 'info'](fields, type)
}
