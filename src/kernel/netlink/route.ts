import { SystemCallError } from '../ffi.ts'
import type { AddressFamily } from './ipvsEntries.ts'
import { flag } from './message.ts'
import {
  addressLayout,
  linkLayout,
  readLayout,
  routeLayout,
  routeType,
  writeLayout,
} from './routeMessages.ts'
import { netlinkFamily, NetlinkSocket, type Request, type SocketOptions } from './socket.ts'

const AF_UNSPEC = 0
const AF_INET = 2
const AF_INET6 = 10
const ENODEV = 19
/** linux/if_addr.h */
const IFA_F_NODAD = 0x02
/** linux/rtnetlink.h */
const RT_SCOPE_UNIVERSE = 0
const RT_SCOPE_LINK = 253
const RT_SCOPE_HOST = 254
const RT_SCOPE_NOWHERE = 255
const RT_TABLE_UNSPEC = 0
const RT_TABLE_MAIN = 254
const RTPROT_STATIC = 4
const RTN_UNICAST = 1
const RTN_LOCAL = 2

export interface Link {
  readonly index: number
  readonly name: string
  /** IFF_* */
  readonly flags: number
  readonly mtu: number
  /** Such as veth, dummy or bridge; '' of hardware and of the loopback. */
  readonly kind: string
}

export interface NewAddress {
  /** Name of the interface. */
  readonly interface: string
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly prefix: number
  /** Of IPv4, such as eth0:torb: begins with the interface's name. */
  readonly label?: string | undefined
}

export interface Address extends NewAddress {
  readonly family: AddressFamily
  readonly index: number
  /** IFA_F_* */
  readonly flags: number
  /** RT_SCOPE_* */
  readonly scope: number
}

export interface NewRoute {
  readonly family: AddressFamily
  /** 4 or 16 bytes; all zero with prefix 0: the default route. */
  readonly destination: Uint8Array
  readonly prefix: number
  readonly gateway?: Uint8Array | undefined
  /** Name of the interface that it goes out by. */
  readonly interface?: string | undefined
  /** Least first. */
  readonly priority?: number | undefined
  /** RT_TABLE_*; main without. */
  readonly table?: number | undefined
  /** RTPROT_*: who made it; static without. */
  readonly protocol?: number | undefined
  /** RTN_*; unicast without. */
  readonly type?: number | undefined
}

/** A route of the kernel. One with several next hops has neither gateway nor interface here. */
export interface RouteEntry extends NewRoute {
  readonly table: number
  readonly protocol: number
  readonly type: number
  readonly scope: number
}

/**
 * Links, addresses and routes of one network namespace.
 *
 * Each call throws a SystemCallError where the kernel refuses: EEXIST, EADDRNOTAVAIL, ESRCH, ENODEV, EPERM.
 */
export interface Route {
  links(): Link[]
  addresses(): Address[]
  /** At once usable: IPv6 does not look for duplicates first. */
  addAddress(address: NewAddress): void
  removeAddress(address: NewAddress): void
  routes(): RouteEntry[]
  addRoute(route: NewRoute): void
  removeRoute(route: NewRoute): void
  close(): void
}

/** Opens rtnetlink, of the process's own network namespace without another one. */
export async function openRoute(options: SocketOptions = {}): Promise<Route> {
  return new KernelRoute(await NetlinkSocket.open(netlinkFamily.route, options))
}

class KernelRoute implements Route {
  readonly #socket: NetlinkSocket

  constructor(socket: NetlinkSocket) {
    this.#socket = socket
  }

  links(): Link[] {
    const request = {
      name: 'list links',
      type: routeType.getLink,
      write: writeLayout(linkLayout, anyLink, {}),
    }
    return this.#socket.dump(request, (message) => {
      const link = message.type === routeType.newLink ? readLayout(linkLayout, message) : undefined
      return link === undefined
        ? undefined
        : {
            index: link.header.index,
            name: link.values.name ?? '',
            flags: link.header.flags,
            mtu: link.values.mtu ?? 0,
            kind: link.values.info?.kind ?? '',
          }
    })
  }

  addresses(): Address[] {
    const names = this.#names()
    const request = {
      name: 'list addresses',
      type: routeType.getAddress,
      write: writeLayout(addressLayout, { family: AF_UNSPEC, prefix: 0, flags: 0, scope: 0, index: 0 }, {}),
    }
    return this.#socket.dump(request, (message) => {
      const read = message.type === routeType.newAddress ? readLayout(addressLayout, message) : undefined
      const family = familyOf(read?.header.family)
      const address = read?.values.local ?? read?.values.address
      if (read === undefined || family === undefined || address === undefined) return undefined
      return {
        interface: names.get(read.header.index) ?? '',
        index: read.header.index,
        family,
        address,
        prefix: read.header.prefix,
        label: read.values.label,
        flags: read.values.flags ?? read.header.flags,
        scope: read.header.scope,
      }
    })
  }

  addAddress(address: NewAddress): void {
    const flags = flag.create | flag.exclusive
    this.#change(encodeAddress('add address', routeType.newAddress, flags, address, this.#indexOf(address)))
  }

  removeAddress(address: NewAddress): void {
    this.#change(encodeAddress('remove address', routeType.deleteAddress, 0, address, this.#indexOf(address)))
  }

  routes(): RouteEntry[] {
    const names = this.#names()
    const request = {
      name: 'list routes',
      type: routeType.getRoute,
      write: writeLayout(routeLayout, { ...anyRoute, family: AF_UNSPEC }, {}),
    }
    return this.#socket.dump(request, (message) => {
      const read = message.type === routeType.newRoute ? readLayout(routeLayout, message) : undefined
      const family = familyOf(read?.header.family)
      if (read === undefined || family === undefined) return undefined
      const { header, values } = read
      return {
        family,
        destination: values.destination ?? new Uint8Array(family === AF_INET ? 4 : 16),
        prefix: header.prefix,
        gateway: values.gateway,
        interface: values.interface === undefined ? undefined : names.get(values.interface),
        priority: values.priority,
        table: values.table ?? header.table,
        protocol: header.protocol,
        type: header.type,
        scope: header.scope,
      }
    })
  }

  addRoute(route: NewRoute): void {
    const flags = flag.create | flag.exclusive
    this.#change(encodeRoute('add route', routeType.newRoute, flags, route, scopeOf(route), this.#oif(route)))
  }

  removeRoute(route: NewRoute): void {
    this.#change(
      encodeRoute('remove route', routeType.deleteRoute, 0, route, RT_SCOPE_NOWHERE, this.#oif(route)),
    )
  }

  close(): void {
    this.#socket.close()
  }

  #change(request: Request): void {
    const [refused] = this.#socket.execute([request])
    if (refused) throw refused
  }

  #names(): Map<number, string> {
    return new Map(this.links().map((link) => [link.index, link.name]))
  }

  #oif(route: NewRoute): number | undefined {
    return route.interface === undefined ? undefined : this.#indexOf({ interface: route.interface })
  }

  #indexOf({ interface: name }: { readonly interface: string }): number {
    const answer = this.#socket.request({
      name: `interface ${name}`,
      type: routeType.getLink,
      write: writeLayout(linkLayout, anyLink, { name }),
    })
    const index = answer === null ? undefined : readLayout(linkLayout, answer)?.header.index
    if (index === undefined) throw new SystemCallError(`interface ${name}`, ENODEV, 'the answer has no index')
    return index
  }
}

const anyLink = { family: AF_UNSPEC, pad: 0, type: 0, index: 0, flags: 0, change: 0 }
const anyRoute = {
  prefix: 0,
  sourcePrefix: 0,
  tos: 0,
  table: 0,
  protocol: 0,
  scope: 0,
  type: 0,
  flags: 0,
}

/** The request that adds or removes an address. */
export function encodeAddress(
  name: string,
  type: number,
  flags: number,
  { interface: on, address, prefix, label }: NewAddress,
  index: number,
): Request {
  const family = address.length === 4 ? AF_INET : AF_INET6
  const header = {
    family,
    prefix,
    flags: family === AF_INET6 && type === routeType.newAddress ? IFA_F_NODAD : 0,
    // As ip(8) has it: 127/8 is for this host alone; IPv6 finds its scope itself.
    scope: family === AF_INET && address[0] === 127 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE,
    index,
  }
  return {
    name: `${name} on ${on}`,
    type,
    flags,
    write: writeLayout(addressLayout, header, { local: address, address, label }),
  }
}

/** The request that adds or removes a route. */
export function encodeRoute(
  name: string,
  type: number,
  flags: number,
  route: NewRoute,
  scope: number,
  oif: number | undefined,
): Request {
  const adds = type === routeType.newRoute
  const table = route.table ?? RT_TABLE_MAIN
  const header = {
    ...anyRoute,
    family: route.family,
    prefix: route.prefix,
    table: table > 0xff ? RT_TABLE_UNSPEC : table,
    // A removal takes the route of whatever kind, unless one is named.
    protocol: route.protocol ?? (adds ? RTPROT_STATIC : 0),
    scope,
    type: route.type ?? (adds ? RTN_UNICAST : 0),
  }
  const values = {
    destination: route.prefix === 0 ? undefined : route.destination,
    gateway: route.gateway,
    interface: oif,
    priority: route.priority,
    table: table > 0xff ? table : undefined,
  }
  return { name, type, flags, write: writeLayout(routeLayout, header, values) }
}

/** As ip(8) has it: of IPv4, what has no gateway is on the link. */
function scopeOf(route: NewRoute): number {
  if (route.family === AF_INET6 || (route.type ?? RTN_UNICAST) > RTN_LOCAL) return RT_SCOPE_UNIVERSE
  if (route.type === RTN_LOCAL) return RT_SCOPE_HOST
  return route.gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
}

const familyOf = (number: number | undefined): AddressFamily | undefined =>
  number === AF_INET || number === AF_INET6 ? number : undefined
