import { canonicalAddress, familyOf } from '../../model/address.ts'
import type { Protocol } from '../../model/names.ts'
import type { VipEndpoint } from './vips.ts'

/** A connection as Open vSwitch tracks it (ovs-dpctl(8), dump-conntrack). */
export interface Tracked {
  readonly protocol: Protocol
  /** As the client sent it: to a virtual address, where it is a load balancer's. */
  readonly source: VipEndpoint
  readonly destination: VipEndpoint
  /** Who answers: the backend. */
  readonly answers: VipEndpoint
  readonly zone: number
  /** False while it opens or closes. */
  readonly open: boolean
}

/** What is tracked of the connections between a virtual address and a backend. */
export interface Tally {
  readonly active: number
  readonly inactive: number
}

const protocolNumber: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 }

const line =
  /^(tcp|udp|sctp),orig=\(src=([^,]+),dst=([^,]+),sport=(\d+),dport=(\d+)\),reply=\(src=([^,]+),dst=[^,]+,sport=(\d+),dport=\d+\)(.*)$/

/** Reads the answer of dpctl/dump-conntrack; lines of other protocols are left out. */
export function parseConntrack(text: string): Tracked[] {
  return text.split('\n').flatMap((entry) => parseLine(entry.trim()) ?? [])
}

function parseLine(entry: string): Tracked | null {
  const [, protocol, source = '', destination = '', sport, dport, answers = '', rport, rest = ''] =
    line.exec(entry) ?? []
  const known = (['tcp', 'udp', 'sctp'] as const).find((name) => name === protocol)
  if (known === undefined || [source, destination, answers].some((one) => familyOf(one) === null)) return null
  const state = /[(,]state=(\w+)/.exec(rest)?.[1]
  return {
    protocol: known,
    source: { address: canonicalAddress(source), port: Number(sport) },
    destination: { address: canonicalAddress(destination), port: Number(dport) },
    answers: { address: canonicalAddress(answers), port: Number(rport) },
    zone: Number(/,zone=(\d+)/.exec(rest)?.[1] ?? 0),
    open: state === undefined || state === 'ESTABLISHED',
  }
}

/** Arguments of dpctl/flush-conntrack for this connection alone. */
export function flushArguments({ protocol, source, destination, zone }: Tracked): string[] {
  const six = familyOf(source.address) === 6
  const [src, dst] = six ? ['ct_ipv6_src', 'ct_ipv6_dst'] : ['ct_nw_src', 'ct_nw_dst']
  const tuple = {
    [src]: source.address,
    [dst]: destination.address,
    ct_tp_src: source.port,
    ct_tp_dst: destination.port,
    ct_nw_proto: protocolNumber[protocol],
  }
  return [
    `zone=${zone}`,
    Object.entries(tuple)
      .map(([field, value]) => `${field}=${value}`)
      .join(','),
  ]
}

/** A virtual address whose connections are looked for. Port 0: all of them. */
export interface TrackedVip extends VipEndpoint {
  readonly protocol: Protocol
}

/** True where a connection came by a virtual address to one of its backends. */
export const isThrough = (tracked: Tracked, vip: TrackedVip, backend: VipEndpoint): boolean =>
  // A service of any port is of any protocol too.
  (vip.port === 0 || tracked.protocol === vip.protocol) &&
  isAt(tracked.destination, vip) &&
  isAt(tracked.answers, backend)

const isAt = (end: VipEndpoint, wanted: VipEndpoint): boolean =>
  end.address === wanted.address && (wanted.port === 0 || end.port === wanted.port)

/** Counts connections by virtual address and backend. One that several zones or chassis track is one. */
export class Census {
  readonly #byEnds = new Map<string, Map<string, Tracked>>()

  constructor(tracked: Iterable<Tracked>) {
    for (const one of tracked) {
      for (const port of [one.destination.port, 0]) {
        const ends = endsKey(one.destination.address, port, one.answers.address)
        const found = this.#byEnds.get(ends) ?? new Map<string, Tracked>()
        this.#byEnds.set(ends, found)
        const key = [
          one.protocol,
          ...endText(one.source),
          ...endText(one.destination),
          ...endText(one.answers),
        ].join()
        if (!found.has(key) || one.open) found.set(key, one)
      }
    }
  }

  tally(vip: TrackedVip, backend: VipEndpoint): Tally {
    const found = this.#byEnds.get(endsKey(vip.address, vip.port, backend.address))
    const through = [...(found?.values() ?? [])].filter((one) => isThrough(one, vip, backend))
    const active = through.filter(({ open }) => open).length
    return { active, inactive: through.length - active }
  }
}

const endText = ({ address, port }: VipEndpoint): readonly [string, number] => [address, port]

const endsKey = (vip: string, port: number, backend: string): string => `${vip} ${port} ${backend}`
