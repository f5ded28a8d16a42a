import { constants } from 'node:os'
import { getSystemErrorMessage } from 'node:util'
import { SystemCallError } from '../../kernel/ffi.ts'
import {
  noStatistics,
  type Ipvs,
  type IpvsCommand,
  type IpvsDaemon,
  type IpvsDestination,
  type IpvsDestinationSeen,
  type IpvsService,
  type IpvsServiceKey,
  type IpvsServiceSeen,
  type IpvsTimeouts,
} from '../../kernel/netlink/ipvsEntries.ts'
import { destinationText, keyText } from './entries.ts'

const { EEXIST, EINVAL, ENOENT, ERANGE, ESRCH } = constants.errno

export const failure = (call: string, errno: number): SystemCallError =>
  new SystemCallError(call, errno, getSystemErrorMessage(-errno))

/** For tests: a table that behaves as the kernel's; refuses what net/netfilter/ipvs/ip_vs_ctl.c refuses; destinations are newest first. */
export class MemoryIpvs implements Ipvs {
  readonly #services = new Map<string, { service: IpvsService; destinations: IpvsDestination[] }>()
  readonly #schedulers: ReadonlySet<string>
  readonly #running: IpvsDaemon[] = []
  #timeouts: IpvsTimeouts = { tcp: 900, tcpfin: 120, udp: 300 }

  constructor(schedulers: readonly string[] = ['rr', 'wrr', 'sh']) {
    this.#schedulers = new Set(schedulers)
  }

  info() {
    return { version: '1.2.1', connectionTable: 4096 }
  }

  services(): IpvsServiceSeen[] {
    return [...this.#services.values()].map(({ service }) => ({ ...service, statistics: noStatistics }))
  }

  service(key: IpvsServiceKey): IpvsServiceSeen | undefined {
    const held = this.#services.get(keyText(key))
    return held === undefined ? undefined : { ...held.service, statistics: noStatistics }
  }

  destinations(key: IpvsServiceKey): IpvsDestinationSeen[] {
    return (this.#services.get(keyText(key))?.destinations ?? []).map((destination) => ({
      ...destination,
      activeConnections: 0,
      inactiveConnections: 0,
      persistentConnections: 0,
      statistics: noStatistics,
    }))
  }

  execute(commands: readonly IpvsCommand[]): (Error | null)[] {
    return commands.map((command) => {
      const errno = this.#do(command)
      return errno === 0 ? null : failure(command.do, errno)
    })
  }

  timeouts(): IpvsTimeouts {
    return this.#timeouts
  }

  setTimeouts(timeouts: Partial<IpvsTimeouts>): void {
    this.#timeouts = { ...this.#timeouts, ...timeouts }
  }

  daemons(): IpvsDaemon[] {
    return [...this.#running]
  }

  startDaemon(daemon: IpvsDaemon): void {
    if (this.#running.some(({ state }) => state === daemon.state)) throw failure('start-daemon', EEXIST)
    this.#running.push(daemon)
  }

  stopDaemon(state: 'master' | 'backup'): void {
    const index = this.#running.findIndex((daemon) => daemon.state === state)
    if (index < 0) throw failure('stop-daemon', ESRCH)
    this.#running.splice(index, 1)
  }

  close(): void {}

  #do(command: IpvsCommand): number {
    if (!('key' in command || 'service' in command)) {
      if (command.do === 'flush') this.#services.clear()
      return 0
    }
    if ('service' in command) return this.#frame(command.do === 'add-service', command.service)
    const held = this.#services.get(keyText(command.key))
    if (held === undefined) return ESRCH
    if (command.do === 'delete-service') this.#services.delete(keyText(command.key))
    if (!('destination' in command)) return 0
    const { destination } = command
    const text = destinationText('key' in destination ? destination.key : destination)
    const index = held.destinations.findIndex(({ key }) => destinationText(key) === text)
    if (!('key' in destination)) return index < 0 ? ENOENT : (held.destinations.splice(index, 1), 0)
    if (destination.lowerThreshold > destination.upperThreshold) return ERANGE
    if (command.do === 'set-destination') {
      if (index < 0) return ENOENT
      held.destinations[index] = destination
      return 0
    }
    if (index >= 0) return EEXIST
    held.destinations.unshift(destination)
    return 0
  }

  #frame(add: boolean, service: IpvsService): number {
    const text = keyText(service.key)
    const held = this.#services.get(text)
    if (add && held !== undefined) return EEXIST
    if (!add && held === undefined) return ESRCH
    if (!this.#schedulers.has(service.scheduler)) return ENOENT
    if (service.key.family === 10 && (service.prefix < 1 || service.prefix > 128)) return EINVAL
    // IP_VS_SVC_F_HASHED.
    const made = { ...service, flags: service.flags | 0x02 }
    this.#services.set(text, { service: made, destinations: held?.destinations ?? [] })
    return 0
  }
}
