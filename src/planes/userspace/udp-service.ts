import { flagBit } from '../../model/names.ts'
import type { Ends, UdpHandler, UdpPeer, UdpPort, UdpReceiver } from '../../proxy/transport.ts'
import { Timed } from '../../proxy/wheel.ts'
import type { Member } from './roster.ts'
import { Service, type Choice } from './service.ts'

/**
 * Datagrams have no connection: what one client port sends makes a flow to one backend, which lasts until it is idle.
 * A flow has a socket of its own, so that the backend's answers find their client. With the flag one-packet each datagram is
 * scheduled anew, and a client has a flow for each backend it reached.
 */
export class UdpService extends Service implements UdpReceiver {
  #port: UdpPort | null = null
  readonly #flows = new Map<string, Flow>()

  async open(): Promise<void> {
    const { address, port } = this.spec
    this.#port = await this.context.transport.bindUdp(address, Number(port), this)
  }

  close(): void {
    for (const flow of this.#flows.values()) flow.end()
    this.#port?.close()
    this.#port = null
    this.forget()
  }

  protected removed(members: readonly Member[]): void {
    if (members.length === 0) return
    const gone = new Set(members)
    for (const flow of this.#flows.values()) if (gone.has(flow.member)) flow.end()
  }

  datagram(bytes: Uint8Array, address: string, port: number): void {
    if ((this.spec.flags & flagBit.onePacket) === 0) {
      const key = `${address} ${port}`
      const flow = this.#flows.get(key) ?? this.#begin(key, address, port)
      flow?.forward(bytes)
      return
    }
    const choice = this.#choose(address, port)
    if (choice === null) return
    const key = `${address} ${port} ${choice.member.destination.id}`
    const known = this.#flows.get(key)
    if (known !== undefined) choice.member.tally.connections++
    const flow = known ?? this.#flow(key, choice, address, port)
    flow?.forward(bytes)
  }

  failed(error: Error): void {
    this.roster.rest.errors++
    this.context.complain(this.spec.id, error.message)
  }

  /** A backend's answer: from the virtual address to the client. */
  answer(datagram: Uint8Array, address: string, port: number): void {
    this.#port?.send(datagram, address, port)
  }

  ended(key: string): void {
    this.#flows.delete(key)
  }

  #begin(key: string, address: string, port: number): Flow | null {
    const choice = this.#choose(address, port)
    return choice === null ? null : this.#flow(key, choice, address, port)
  }

  #choose(address: string, port: number): Choice | null {
    const { spec } = this
    const ends: Ends = {
      remoteAddress: address,
      remotePort: port,
      localAddress: spec.address,
      localPort: Number(spec.port),
    }
    const choice = this.choose(ends, [])
    if (choice === null) this.roster.rest.errors++
    return choice
  }

  #flow(key: string, choice: Choice, address: string, port: number): Flow | null {
    const { flows, descriptors } = this.context
    if (!flows.take(1)) return this.#full()
    if (!descriptors.take(1)) {
      flows.give(1)
      return this.#full()
    }
    const flow = new Flow(this, key, choice, address, port)
    this.#flows.set(key, flow)
    return flow
  }

  #full(): null {
    this.roster.rest.errors++
    this.context.complain(
      this.spec.id,
      'the table of UDP flows is full: datagrams of new clients are dropped',
    )
    return null
  }
}

const unreachable: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EACCES',
  'EMFILE',
])

class Flow extends Timed implements UdpHandler {
  readonly member: Member
  readonly #service: UdpService
  readonly #key: string
  readonly #template: Choice['template']
  readonly #address: string
  readonly #port: number
  readonly #peer: UdpPeer
  #seen: number
  #open = true

  constructor(service: UdpService, key: string, { member, template }: Choice, address: string, port: number) {
    super()
    const { transport, wheel, clock } = service.context
    this.#service = service
    this.#key = key
    this.member = member
    this.#template = template
    this.#address = address
    this.#port = port
    this.#peer = transport.connectUdp(member.destination.address, member.destination.port, this)
    member.tally.connections++
    template?.opened()
    service.roster.opened(member)
    this.#seen = clock()
    wheel.add(this)
  }

  forward(bytes: Uint8Array): void {
    this.#seen = this.#service.context.wheel.now
    this.member.tally.received(bytes.length)
    this.#peer.send(bytes)
  }

  datagram(bytes: Uint8Array): void {
    this.#seen = this.#service.context.wheel.now
    this.member.tally.returned(bytes.length)
    this.#service.answer(bytes, this.#address, this.#port)
  }

  /** Where nobody listens or no way leads, the client's next datagram is scheduled anew. */
  failed(error: Error): void {
    this.member.tally.errors++
    if ('code' in error && unreachable.has(String(error.code))) this.end()
  }

  override dueAt(): number {
    return this.#seen + this.#service.context.timeouts.udp * 1000
  }

  override expire(): void {
    this.end()
  }

  end(): void {
    if (!this.#open) return
    this.#open = false
    const { wheel, flows, descriptors } = this.#service.context
    wheel.remove(this)
    this.#service.ended(this.#key)
    this.#service.roster.closed(this.member, true)
    this.#template?.closed()
    flows.give(1)
    descriptors.give(1)
    this.#peer.close()
  }
}
