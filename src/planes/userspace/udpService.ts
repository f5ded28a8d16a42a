import { flagBit } from '../../model/names.ts'
import type { UdpHandler, UdpPeer, UdpPort, UdpReceiver } from '../../proxy/transport.ts'
import { Timed } from '../../proxy/wheel.ts'
import type { Member } from './roster.ts'
import { Service, type Choice } from './service.ts'

const none: readonly Member[] = []

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
    this.#port = await this.transport.bindUdp(address, Number(port), this)
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
    this.forward(bytes, address, port, none)
  }

  /** Sends a datagram to its flow's backend, or to whom the scheduler chooses, those tried left out. */
  forward(bytes: Uint8Array, address: string, port: number, tried: readonly Member[]): void {
    const { spec } = this
    const onePacket = (spec.flags & flagBit.onePacket) !== 0
    const client = `${address} ${port}`
    const held = onePacket ? undefined : this.#flows.get(client)
    if (held !== undefined) return held.forward(bytes)
    const choice = this.choose(
      { remoteAddress: address, remotePort: port, localAddress: spec.address, localPort: Number(spec.port) },
      tried,
    )
    if (choice === null) {
      this.roster.rest.errors++
      return
    }
    const key = onePacket ? `${client} ${choice.member.destination.id}` : client
    const known = this.#flows.get(key)
    // A flow is counted when it begins; with one-packet each datagram is.
    if (known !== undefined) choice.member.tally.connections++
    const flow = known ?? this.#begin(key, choice, address, port, tried)
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

  #begin(key: string, choice: Choice, address: string, port: number, tried: readonly Member[]): Flow | null {
    const { flows, descriptors } = this.context
    if (!flows.take(1)) return this.#full()
    if (!descriptors.take(1)) {
      flows.give(1)
      return this.#full()
    }
    const flow = new Flow(this, key, choice, address, port, tried)
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

/** Datagrams of one flow that are kept for another backend. */
const unansweredLimit = 4

class Flow extends Timed implements UdpHandler {
  readonly member: Member
  readonly #service: UdpService
  readonly #key: string
  readonly #template: Choice['template']
  readonly #address: string
  readonly #port: number
  readonly #peer: UdpPeer
  readonly #tried: readonly Member[]
  /** The first datagrams, until the backend has answered one: if it proves unreachable they go to another. */
  #unanswered: Uint8Array[] | null = []
  #seen: number
  #open = true

  constructor(
    service: UdpService,
    key: string,
    { member, template }: Choice,
    address: string,
    port: number,
    tried: readonly Member[],
  ) {
    super()
    const { wheel, clock } = service.context
    this.#service = service
    this.#key = key
    this.member = member
    this.#template = template
    this.#address = address
    this.#port = port
    this.#tried = tried
    this.#peer = service.transport.connectUdp(member.destination.address, member.destination.port, this)
    member.tally.connections++
    template?.opened()
    service.roster.opened(member)
    this.#seen = clock()
    wheel.add(this)
  }

  forward(bytes: Uint8Array): void {
    this.#seen = this.#service.context.wheel.now
    this.member.tally.received(bytes.length)
    if (this.#unanswered !== null && this.#unanswered.length < unansweredLimit) this.#unanswered.push(bytes)
    this.#peer.send(bytes)
  }

  datagram(bytes: Uint8Array): void {
    this.#seen = this.#service.context.wheel.now
    this.member.tally.returned(bytes.length)
    this.#unanswered = null
    this.#service.answer(bytes, this.#address, this.#port)
  }

  /** Where nobody listens or no way leads, what was not answered goes to another, and what comes is scheduled anew. */
  failed(error: Error): void {
    this.member.tally.errors++
    if (!('code' in error) || !unreachable.has(String(error.code))) return
    this.end()
    const tried = [...this.#tried, this.member]
    for (const bytes of this.#unanswered ?? []) this.#service.forward(bytes, this.#address, this.#port, tried)
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
