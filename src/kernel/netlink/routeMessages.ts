import { attributes } from './attributes.ts'
import { bytes, s32, string, struct, u16, u32, u8, type Codec, type Writer } from './codec.ts'
import type { Message } from './message.ts'

/** linux/rtnetlink.h: RTM_*. */
export const routeType = {
  newLink: 16,
  getLink: 18,
  newAddress: 20,
  deleteAddress: 21,
  getAddress: 22,
  newRoute: 24,
  deleteRoute: 25,
  getRoute: 26,
} as const

/** A kind of rtnetlink message: a struct, then attributes. */
export interface Layout<H, A> {
  readonly header: Codec<H> & { readonly size: number }
  readonly attributes: Codec<A>
}

/** linux/rtnetlink.h: struct ifinfomsg; linux/if_link.h: IFLA_*. */
export const linkLayout = {
  header: struct({ family: u8, pad: u8, type: u16, index: s32, flags: u32, change: u32 }),
  attributes: attributes({
    name: [3, string],
    mtu: [4, u32],
    info: [18, attributes({ kind: [1, string] })],
  }),
}

/** linux/if_addr.h: struct ifaddrmsg, IFA_*. */
export const addressLayout = {
  header: struct({ family: u8, prefix: u8, flags: u8, scope: u8, index: u32 }),
  attributes: attributes({
    /** The address itself; of IPv6 only where it has a peer. */
    local: [2, bytes],
    label: [3, string],
    /** The peer's of a point-to-point link, else as `local`. */
    address: [1, bytes],
    /** All flags, of which the header has eight. */
    flags: [8, u32],
  }),
}

/** linux/rtnetlink.h: struct rtmsg, RTA_*. */
export const routeLayout = {
  header: struct({
    family: u8,
    prefix: u8,
    sourcePrefix: u8,
    tos: u8,
    table: u8,
    protocol: u8,
    scope: u8,
    type: u8,
    flags: u32,
  }),
  attributes: attributes({
    destination: [1, bytes],
    gateway: [5, bytes],
    table: [15, u32],
    priority: [6, u32],
    interface: [4, u32],
  }),
}

/** Appends a message's payload. */
export const writeLayout =
  <H, A>(layout: Layout<H, A>, header: H, values: A) =>
  (out: Writer): void => {
    layout.header.write(out, header)
    out.align()
    layout.attributes.write(out, values)
  }

/** A message's payload; undefined where it is too short. */
export function readLayout<H, A>(
  layout: Layout<H, A>,
  { payload }: Message,
): { readonly header: H; readonly values: A } | undefined {
  const length = payload.byteLength
  const header = layout.header.read(payload, 0, length)
  if (header === undefined) return undefined
  const values = layout.attributes.read(payload, layout.header.size, length - layout.header.size)
  return values === undefined ? undefined : { header, values }
}
