import type { OvsdbLock } from './ovsdb/ovsdb.ts'
import type { Northbound, Southbound } from './tables.ts'

/** How far chassis have followed, at one moment. */
export interface Followed {
  /** SB_Global:nb_cfg, what northd has passed on: a dead northd is no fault of the chassis. */
  readonly wanted: number
  /** Chassis_Private:nb_cfg by chassis. */
  readonly chassis: ReadonlyMap<string, number>
}

/** More than between two looks: this process stood still, and what has come meanwhile may lie unread. */
const standstillMs = 5000

/** Which chassis have made no progress for a while although there was something to follow. Times in milliseconds. */
export class Silence {
  readonly #silentMs: number
  #followed = new Map<string, { readonly number: number; readonly since: number }>()
  #lookedAt = -Infinity

  constructor(silentMs: number) {
    this.#silentMs = silentMs
  }

  /**
   * Takes note of where all are. Where all are silent nobody is: then it is the database, or OVN as a whole, and what its
   * monitors said last is the best that is known.
   */
  look({ wanted, chassis }: Followed, now: number): ReadonlySet<string> {
    const isFresh = now - this.#lookedAt > standstillMs
    this.#lookedAt = now
    const before = this.#followed
    this.#followed = new Map(
      [...chassis].map(([name, number]) => {
        const known = before.get(name)
        const stays = !isFresh && known?.number === number && number < wanted
        return [name, { number, since: stays ? known.since : now }]
      }),
    )
    const silent = [...this.#followed].filter(([, { since }]) => now - since >= this.#silentMs)
    return new Set(silent.length === chassis.size ? [] : silent.map(([name]) => name))
  }
}

export interface LivenessTimes {
  /** So often chassis are asked where nothing else is written; each answers by one small write. 30 s where absent. */
  readonly heartbeatMs?: number
  /** So long a chassis may make no step although there is one to make. 15 s where absent. */
  readonly silentMs?: number
}

interface LivenessOptions extends LivenessTimes {
  readonly northbound: Northbound
  readonly southbound: Southbound
  /** Who holds it asks the chassis for a sign of life. */
  readonly lock: Pick<OvsdbLock, 'held' | 'assertion'>
  readonly log: { info(fields: object, text: string): void; warn(fields: object, text: string): void }
}

const usualHeartbeatMs = 30_000
const usualSilentMs = 15_000
const lookEveryMs = 1000

/**
 * Which chassis are alive. OVN's monitors run on the chassis of the backends: where one loses power, all of its backends stay
 * `online` in the database for ever.
 */
export class Liveness {
  readonly #options: LivenessOptions
  readonly #silence: Silence
  readonly #heartbeatMs: number
  readonly #timer: NodeJS.Timeout
  readonly #listeners = new Set<() => void>()
  #silent: ReadonlySet<string> = new Set()
  #number = 0
  #numberAt = performance.now()

  constructor(options: LivenessOptions) {
    this.#options = options
    this.#heartbeatMs = options.heartbeatMs ?? usualHeartbeatMs
    this.#silence = new Silence(options.silentMs ?? usualSilentMs)
    this.#timer = setInterval(() => this.#look(), lookEveryMs).unref()
  }

  /** True where a chassis, by name, follows nothing any more while others do. */
  isSilent(chassis: string): boolean {
    return this.#silent.has(chassis)
  }

  /** Calls back when a chassis falls silent or is heard again. */
  watch(listener: () => void): void {
    this.#listeners.add(listener)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#listeners.clear()
  }

  #look(): void {
    const { northbound, southbound, log } = this.#options
    if (!southbound.state.connected) return
    const now = performance.now()
    const [global] = southbound.rows('SB_Global').values()
    const chassis = new Map(
      Array.from(southbound.rows('Chassis_Private').values(), ({ name, nb_cfg: number }) => [name, number]),
    )
    const silent = this.#silence.look({ wanted: global?.nb_cfg ?? 0, chassis }, now)
    const before = this.#silent
    this.#silent = silent
    const fallen = [...silent].filter((name) => !before.has(name))
    const back = [...before].filter((name) => !silent.has(name))
    for (const name of fallen)
      log.warn(
        { plane: 'ovn', chassis: name },
        `chassis ${name} follows no changes, and nobody checks the backends on it: they get no new connections; see whether it runs, and its ovn-controller`,
      )
    for (const name of back) log.info({ plane: 'ovn', chassis: name }, `chassis ${name} follows again`)
    if (fallen.length + back.length > 0) for (const listener of this.#listeners) listener()

    const [{ nb_cfg: number } = { nb_cfg: 0 }] = northbound.rows('NB_Global').values()
    if (number !== this.#number) {
      this.#number = number
      this.#numberAt = now
    } else if (now - this.#numberAt >= this.#heartbeatMs) {
      this.#numberAt = now
      void this.#beat()
    }
  }

  async #beat(): Promise<void> {
    const { northbound, lock } = this.#options
    if (!lock.held) return
    try {
      await northbound.transact([
        lock.assertion,
        { op: 'mutate', table: 'NB_Global', where: [], mutations: [['nb_cfg', '+=', 1]] },
      ])
    } catch {
      // The connection or the lock is gone; its own state tells of that.
    }
  }
}
