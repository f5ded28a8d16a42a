import type { BackendId, ServiceId } from '../../model/names.ts'
import type { Destination, VirtualService } from '../plane.ts'
import {
  Census,
  flushArguments,
  isThrough,
  parseConntrack,
  type Tally,
  type Tracked,
  type TrackedVip,
} from './conntrack.ts'
import { unixctl } from './unixctl.ts'

export interface ConnectionsOptions {
  /** Control sockets of ovs-vswitchd, or its run directories: of the chassis on this machine. */
  readonly vswitchd: readonly string[]
  readonly log: { warn(fields: object, text: string): void }
}

/** A table of some 100,000 connections takes a second to print. */
const limitMs = 5000
/** Drains look five times a second; whoever else asks gets the same answer. */
const keptMs = 1000
const complaintEveryMs = 60_000

const daemon = 'ovs-vswitchd'

/** Open connections as the chassis on this machine track them. */
export class Connections {
  readonly #options: ConnectionsOptions
  #census: { readonly at: number; readonly value: Promise<Census> } | null = null
  #quietUntil = 0

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  /** How many chassis can be asked. */
  get size(): number {
    return this.#options.vswitchd.length
  }

  /** Whether there is a chassis to ask. */
  get known(): boolean {
    return this.size > 0
  }

  /** Warns of each chassis that cannot be asked. */
  async check(): Promise<void> {
    await Promise.all(
      this.#options.vswitchd.map(async (path) => {
        const why = await unaskable(path)
        if (why !== null)
          this.#options.log.warn(
            { plane: 'ovn' },
            `${why} (ovn_vswitchd); until then open connections are not known, and a drain takes all of its time`,
          )
      }),
    )
  }

  /**
   * Connections of each backend, at most a second old.
   *
   * @throws UnixctlError where a chassis does not answer: then nothing is known, rather than too little
   */
  async of(
    services: readonly VirtualService[],
  ): Promise<ReadonlyMap<ServiceId, ReadonlyMap<BackendId, Tally>>> {
    const now = performance.now()
    if (this.#census === null || now - this.#census.at > keptMs) {
      this.#census = {
        at: now,
        value: this.#dump().then((all) => new Census(all.flatMap(({ tracked }) => tracked))),
      }
    }
    const census = await this.#census.value
    return new Map(
      services.map((service) => [
        service.id,
        new Map(service.destinations.map((one) => [one.id, census.tally(vipOf(service), one)])),
      ]),
    )
  }

  /**
   * Forgets the open connections of these backends: the client's next packet goes elsewhere, and is answered by a reset.
   * To be called when they get no new ones any more.
   *
   * @returns how many
   */
  async reset(service: VirtualService, backends: readonly Destination[]): Promise<number> {
    if (!this.known || backends.length === 0) return 0
    const vip = vipOf(service)
    let count = 0
    try {
      for (const { path, tracked } of await this.#dump()) {
        for (const one of tracked) {
          if (!backends.some((backend) => isThrough(one, vip, backend))) continue
          await unixctl(path, daemon, 'dpctl/flush-conntrack', flushArguments(one), limitMs)
          count++
        }
      }
    } catch (error) {
      const names = backends.map(({ id }) => id).join(', ')
      this.#options.log.warn(
        { service: service.id },
        `open connections of ${names} were not all reset, and end by themselves: ${(error as Error).message}`,
      )
    }
    return count
  }

  /** Says from time to time why connections are not counted. */
  complain(error: unknown): void {
    if (performance.now() < this.#quietUntil) return
    this.#quietUntil = performance.now() + complaintEveryMs
    this.#options.log.warn({ plane: 'ovn' }, `open connections are not known: ${(error as Error).message}`)
  }

  #dump(): Promise<readonly { readonly path: string; readonly tracked: readonly Tracked[] }[]> {
    return Promise.all(
      this.#options.vswitchd.map(async (path) => ({
        path,
        tracked: parseConntrack(await unixctl(path, daemon, 'dpctl/dump-conntrack', [], limitMs)),
      })),
    )
  }
}

/** Why nothing can be learned of connections there, with the cure; null where it can. */
async function unaskable(path: string): Promise<string | null> {
  try {
    const version = await unixctl(path, daemon, 'version', [], limitMs)
    if (version.startsWith(`${daemon} `)) return null
    const [name = ''] = version.split(/\s/, 1)
    return `${daemon} at ${path} cannot be asked: ${name} listens there: give the control socket of ${daemon}, or its run directory`
  } catch (error) {
    return (error as Error).message
  }
}

const vipOf = ({ protocol, address, port }: VirtualService): TrackedVip => ({
  protocol,
  address,
  port: port === 'any' ? 0 : port,
})
