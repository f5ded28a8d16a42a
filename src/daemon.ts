import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { listenPlace } from './api/endpoint.ts'
import { isOwnListener } from './api/listeners.ts'
import { startApi, type Api } from './api/server.ts'
import { EventLog, type TorbEvent } from './control/events.ts'
import { openControl, type OpenControl } from './control/open.ts'
import { defaultInterface, firstAddress } from './kernel/interfaces.ts'
import { openFileLimit } from './kernel/limits.ts'
import { openLog } from './log.ts'
import { defaultDataDirectory, defaultTimeouts, type DaemonOptions } from './model/daemon.ts'
import type { PlaneName } from './model/names.ts'
import type { Plane } from './planes/plane.ts'
import { UserspacePlane } from './planes/userspace/plane.ts'
import type { ConfigFileResult } from './sources/file/file.ts'
import { openStore } from './store/sqlite.ts'

export const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version

export interface Daemon {
  /** Where the REST API answers, such as http://127.0.0.1:4672. */
  readonly url: string
  readonly plane: PlaneName
  /** Reads the configuration file again; a file with a mistake changes nothing and is logged with its line. */
  reload(): Promise<void>
  /** Ends in order: nothing new, what is in flight within a limit, a kernel's state left in place. */
  close(): Promise<void>
}

/**
 * Starts Torb: store, planes, control, API, configuration file, in this order.
 *
 * @throws Error with the cause and the cure; nothing stays behind
 */
export async function startDaemon(
  flags: DaemonOptions & { readonly config?: string | undefined },
): Promise<Daemon> {
  const file = flags.config === undefined ? null : await readConfig(flags.config)
  const { config: _file, ...given } = flags
  const options: DaemonOptions = { ...file?.options, ...definedIn(given) }
  const log = openLog(options.verbose ?? false)
  const ended = new AsyncDisposableStack()
  try {
    const data = resolve(
      options.data ?? defaultDataDirectory(process.env, homedir(), process.getuid?.() === 0),
    )
    const store = await openStore(data, { log: (text) => log.debug(text) })
    ended.defer(() => store.close())
    const network = defaultInterface(options.interface)
    const planes = choosePlanes(options, log)
    const [defaultPlane] = planes.keys()
    if (defaultPlane === undefined) throw new Error('no data plane is open')

    const events = new EventLog()
    // Where the API is going to listen: stored backends are applied before it does.
    const place = await listenPlace(options.listen)
    events.subscribe(({ event }) => logEvent(log, event))
    let api: Api | null = null
    const control = await openControl({
      store,
      planes,
      defaultPlane,
      events,
      flush: options.flush ?? false,
      adopt: false,
      // A quarter of the descriptors: the rest is for traffic and the API.
      maxChecks: Math.min(4096, Math.max(16, Math.floor(openFileLimit() / 4))),
      now: Date.now,
      log,
      resolve: async (name) => (await lookup(name)).address,
      defaultHost: () => (network === null ? null : firstAddress(network)),
      isOwnListener: (address, port) => isOwnListener([api ?? place], address, port),
    })
    ended.defer(() => control.close())

    api = await startApi({ control, options, data, version, log })
    ended.defer(() => api?.close())
    await takeOver(control, flags.config, file)
    events.record({ at: Date.now(), type: 'ready', plane: defaultPlane })
    return {
      url: api.url,
      plane: defaultPlane,
      async reload() {
        if (flags.config === undefined) {
          log.warn(
            'SIGHUP: there is no configuration file to read again; start Torb with --config FILE to have one',
          )
          return
        }
        try {
          await takeOver(control, flags.config, await readConfig(flags.config))
          log.info('services are those of the file; other options take effect at the next start')
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

/** The planes of this build that are to be open, the default one first. */
function choosePlanes(options: DaemonOptions, log: Logger): Map<PlaneName, Plane> {
  const { plane = 'auto' } = options
  if (plane !== 'auto' && plane !== 'userspace') {
    throw new Error(
      `the ${plane} plane is not part of this version: start with --plane userspace, or leave --plane out`,
    )
  }
  const timeouts = {
    tcp: options.tcp_timeout ?? defaultTimeouts.tcp,
    tcpfin: options.tcpfin_timeout ?? defaultTimeouts.tcpfin,
    udp: options.udp_timeout ?? defaultTimeouts.udp,
  }
  if (plane === 'auto') log.info('plane userspace: the only one of this version, needs no privilege')
  return new Map([['userspace', new UserspacePlane({ timeouts, log })]])
}

type Config = Extract<ConfigFileResult, { ok: true }>

/** @throws Error with file:line:column and the line for each mistake */
async function readConfig(file: string): Promise<Config> {
  // The parsers are only loaded by those who have a file.
  const { readConfigFile } = await import('./sources/file/file.ts')
  const result = await readConfigFile(file)
  if (result.ok) return result
  throw new Error(result.errors.join('\n'))
}

/** Makes the file's services those of Torb; without a file there are none of it. @throws Error with the place in the file */
async function takeOver(control: OpenControl, path: string | undefined, file: Config | null): Promise<void> {
  const outcome = await control.replaceConfigured(file?.services ?? [])
  if (!outcome.ok)
    throw new Error(`${file?.place(outcome.service, outcome.backend) ?? ''}: ${outcome.message}`)
  if (path === undefined) return
  control.events.record({
    at: Date.now(),
    type: 'config-loaded',
    file: path,
    message: `services changed: ${outcome.changes}`,
  })
}

function definedIn<T extends object>(object: T): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T
}

/** What operators must see is a warning; the rest is information. */
function logEvent(log: Logger, { type, at: _at, ...fields }: TorbEvent): void {
  const level = ['backend-down', 'plane-drift', 'plane-failed', 'config-refused'].includes(type)
    ? 'warn'
    : 'info'
  log[level](fields, type)
}
