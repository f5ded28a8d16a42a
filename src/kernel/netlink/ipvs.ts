import { SystemCallError } from '../ffi.ts'
import { GenericFamily, readGeneric } from './generic.ts'
import type {
  Ipvs,
  IpvsCommand,
  IpvsDaemon,
  IpvsDestinationSeen,
  IpvsServiceKey,
  IpvsServiceSeen,
  IpvsTimeouts,
} from './ipvsEntries.ts'
import {
  commandAttributes,
  decodeDaemon,
  decodeDestination,
  decodeService,
  encodeCommand,
  encodeDaemon,
  infoAttributes,
  ipvsCommand,
  keyValues,
  type CommandValues,
} from './ipvsMessages.ts'
import type { Message } from './message.ts'
import type { Request, SocketOptions } from './socket.ts'

/** linux/ip_vs.h: IPVS_GENL_NAME, IPVS_GENL_VERSION. */
const familyName = 'IPVS'
const familyVersion = 1
const ESRCH = 3

/**
 * Opens the kernel's IPVS, of the process's own network namespace without another one.
 *
 * @throws SystemCallError with ENOENT where the kernel has no IPVS (module ip_vs)
 */
export async function openIpvs(options: SocketOptions = {}): Promise<Ipvs> {
  return new KernelIpvs(await GenericFamily.open(familyName, familyVersion, options))
}

class KernelIpvs implements Ipvs {
  readonly #family: GenericFamily

  constructor(family: GenericFamily) {
    this.#family = family
  }

  info(): { readonly version: string; readonly connectionTable: number } {
    const name = 'IPVS get-info'
    const answer = this.#family.socket.request(this.#request(name, ipvsCommand.getInfo))
    const info = answer === null ? undefined : readGeneric(answer, infoAttributes)
    const version = info?.version ?? 0
    return {
      version: [version >> 16, version >> 8, version].map((part) => part & 0xff).join('.'),
      connectionTable: info?.connectionTable ?? 0,
    }
  }

  services(): IpvsServiceSeen[] {
    const request = this.#request('IPVS get-services', ipvsCommand.getService)
    return this.#family.socket.dump(request, (message) => decodeService(valuesOf(message)))
  }

  service(key: IpvsServiceKey): IpvsServiceSeen | undefined {
    const request = this.#request('IPVS get-service', ipvsCommand.getService, { service: keyValues(key) })
    try {
      const answer = this.#family.socket.request(request)
      return answer === null ? undefined : decodeService(valuesOf(answer))
    } catch (error) {
      if (error instanceof SystemCallError && error.errno === ESRCH) return undefined
      throw error
    }
  }

  destinations(key: IpvsServiceKey): IpvsDestinationSeen[] {
    const request = this.#request('IPVS get-destinations', ipvsCommand.getDestination, {
      service: keyValues(key),
    })
    return this.#family.socket.dump(request, (message) => decodeDestination(valuesOf(message), key.family))
  }

  execute(commands: readonly IpvsCommand[]): (Error | null)[] {
    return this.#family.socket.execute(
      commands.map((item) => {
        const { command, values } = encodeCommand(item)
        return this.#request(`IPVS ${item.do}`, command, values)
      }),
    )
  }

  timeouts(): IpvsTimeouts {
    const name = 'IPVS get-timeouts'
    const answer = this.#family.socket.request(this.#request(name, ipvsCommand.getConfig))
    const { tcp = 0, tcpfin = 0, udp = 0 } = answer === null ? {} : valuesOf(answer)
    return { tcp, tcpfin, udp }
  }

  setTimeouts(timeouts: Partial<IpvsTimeouts>): void {
    this.#do(this.#request('IPVS set-timeouts', ipvsCommand.setConfig, timeouts))
  }

  daemons(): IpvsDaemon[] {
    const request = this.#request('IPVS get-daemons', ipvsCommand.getDaemon)
    return this.#family.socket.dump(request, (message) => decodeDaemon(valuesOf(message)))
  }

  startDaemon(daemon: IpvsDaemon): void {
    this.#do(this.#request('IPVS start-daemon', ipvsCommand.newDaemon, encodeDaemon(daemon)))
  }

  stopDaemon(state: 'master' | 'backup'): void {
    this.#do(this.#request('IPVS stop-daemon', ipvsCommand.deleteDaemon, encodeDaemon({ state })))
  }

  close(): void {
    this.#family.close()
  }

  #request(name: string, command: number, values: CommandValues = {}): Request {
    return this.#family.request(name, command, commandAttributes, values)
  }

  #do(request: Request): void {
    const [refused] = this.#family.socket.execute([request])
    if (refused) throw refused
  }
}

const valuesOf = (message: Message): CommandValues => readGeneric(message, commandAttributes) ?? {}
