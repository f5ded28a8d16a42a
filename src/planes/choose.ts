import type { IpvsDaemon } from '../kernel/netlink/ipvsEntries.ts'
import type { DaemonOptions } from '../model/daemon.ts'
import type { PlaneName } from '../model/names.ts'
import { withoutUndefined } from '../model/pulse.ts'
import { defaultTimeouts } from '../model/timeouts.ts'
import { ipvsMissing } from './ipvs/missing.ts'
import { IpvsPlane } from './ipvs/plane.ts'
import { OvnPlane } from './ovn/plane.ts'
import { ovnMissing, ovnOptions } from './ovn/settings.ts'
import type { Plane } from './plane.ts'
import { ThreadPlane } from './userspace/thread.ts'

interface ChoiceLog {
  info(text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
}

interface Choice {
  /** Why it cannot be had here, with the cure; null where it can. */
  missing(options: DaemonOptions): Promise<string | null>
  /** False: only who asks for it gets it. */
  readonly auto: boolean
  /** It is wanted beside the default plane, too. */
  wanted?(options: DaemonOptions): boolean
  make(options: DaemonOptions, log: ChoiceLog): Plane
}

/** The planes of this build; `auto` takes the first that can be had. */
const choices: Partial<Record<PlaneName, Choice>> = {
  ipvs: {
    missing: () => ipvsMissing(),
    auto: true,
    make: ({ tcp_timeout: tcp, tcpfin_timeout: tcpfin, udp_timeout: udp, ...options }, log) =>
      new IpvsPlane({
        timeouts: withoutUndefined({ tcp, tcpfin, udp }),
        daemons: syncDaemons(options),
        log,
      }),
  },
  userspace: {
    missing: () => Promise.resolve(null),
    auto: true,
    make: (options, log) =>
      new ThreadPlane({
        timeouts: {
          tcp: options.tcp_timeout ?? defaultTimeouts.tcp,
          tcpfin: options.tcpfin_timeout ?? defaultTimeouts.tcpfin,
          udp: options.udp_timeout ?? defaultTimeouts.udp,
        },
        accessLog:
          options.access_log === undefined
            ? undefined
            : { path: options.access_log, every: options.access_log_every ?? 1 },
        log,
      }),
  },
  ovn: {
    missing: ovnMissing,
    auto: false,
    wanted: ({ ovn_nb }) => ovn_nb !== undefined,
    make: (options, log) => new OvnPlane(ovnOptions(options, log)),
  },
}

/**
 * The planes that are to be opened, the default one first.
 *
 * @param used planes that may still hold entries of an earlier run
 * @throws Error with the cure where the plane that was asked for cannot be had
 */
export async function choosePlanes(
  options: DaemonOptions,
  used: ReadonlySet<PlaneName>,
  log: ChoiceLog,
): Promise<Map<PlaneName, Plane>> {
  const standard = await defaultPlane(options, log)
  const planes = new Map<PlaneName, Plane>()
  const wanted = new Set(names().filter((name) => choices[name]?.wanted?.(options) === true))
  // userspace needs nothing, and so is there for a service that asks for it.
  for (const name of new Set<PlaneName>([standard, ...wanted, ...used, 'userspace'])) {
    const choice = choices[name]
    const why = choice === undefined ? 'it is not part of this version' : await choice.missing(options)
    // One that is missing now may come: it is opened then.
    if (choice !== undefined && (why === null || wanted.has(name)))
      planes.set(name, choice.make(options, log))
    else
      log.warn({ plane: name }, `entries of an earlier run on the ${name} plane cannot be withdrawn: ${why}`)
  }
  return planes
}

/** The connection-sync daemons of the options; where an option is absent the kernel chooses. */
function syncDaemons(options: DaemonOptions): IpvsDaemon[] {
  const { sync_master: master, sync_backup: backup } = options
  const parameters = {
    syncId: options.sync_id ?? 0,
    maxLength: options.sync_maxlen ?? 0,
    group: options.sync_group ?? '',
    port: options.sync_port ?? 0,
    ttl: options.sync_ttl ?? 0,
  }
  return [
    ...(master === undefined ? [] : [{ state: 'master' as const, interface: master, ...parameters }]),
    ...(backup === undefined ? [] : [{ state: 'backup' as const, interface: backup, ...parameters }]),
  ]
}

const names = (): PlaneName[] => Object.keys(choices) as PlaneName[]

/** The planes of this build, the best first, and for each why it cannot be had here; null where it can. */
export async function surveyPlanes(
  options: DaemonOptions = {},
): Promise<{ name: PlaneName; missing: string | null }[]> {
  return Promise.all(
    Object.entries(choices).map(async ([name, choice]) => ({
      name: name as PlaneName,
      missing: await choice.missing(options),
    })),
  )
}

async function defaultPlane(options: DaemonOptions, log: ChoiceLog): Promise<PlaneName> {
  const { plane: asked = 'auto' } = options
  if (asked !== 'auto') {
    const choice = choices[asked]
    if (choice === undefined) {
      throw new Error(
        `the ${asked} plane is not part of this version: start with --plane ${names().join(' or ')}, or leave --plane out`,
      )
    }
    const why = await choice.missing(options)
    if (why !== null) throw new Error(`the ${asked} plane cannot be had here: ${why}`)
    return asked
  }
  for (const name of names()) {
    const choice = choices[name]
    if (choice?.auto !== true) continue
    const why = await choice.missing(options)
    if (why === null) {
      log.info(`plane ${name}: the best that can be had here`)
      return name
    }
    log.info(`plane ${name} is passed over: ${why}`)
  }
  throw new Error('no data plane can be had here')
}
