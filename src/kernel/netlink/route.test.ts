import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SystemCallError } from '../ffi.ts'
import { inNamespace } from '../netns.ts'
import { addressOf, addressText } from './addressText.ts'
import { readCaptures } from './captures.ts'
import { Writer } from './codec.ts'
import { flag, readMessages, writeMessage } from './message.ts'
import { encodeAddress, encodeRoute, openRoute, type NewRoute, type Route } from './route.ts'
import { addressLayout, linkLayout, readLayout, routeLayout, routeType } from './routeMessages.ts'
import type { Request } from './socket.ts'

const captures = readCaptures()
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex')

/** As ip(8) frames it: with an acknowledgement, under its sequence number. */
function framed({ type, flags = 0, write }: Request, sequence: number): string {
  const out = new Writer()
  writeMessage(out, { type, flags: flags | flag.request | flag.acknowledge, sequence }, write)
  return hex(out.written())
}

const create = flag.create | flag.exclusive
const universe = 0
const onLink = 253
const nowhere = 255
const d0 = 3
const route4 = (destination: string, prefix: number, more: Partial<NewRoute> = {}): NewRoute => ({
  family: 2,
  destination: addressOf(destination),
  prefix,
  ...more,
})

describe('what ip sends', () => {
  const address = (text: string, prefix: number, label?: string) => ({
    interface: 'd0',
    address: addressOf(text),
    prefix,
    label,
  })
  const add = (text: string, prefix: number, label?: string) =>
    encodeAddress('add', routeType.newAddress, create, address(text, prefix, label), d0)
  const remove = (text: string, prefix: number) =>
    encodeAddress('remove', routeType.deleteAddress, 0, address(text, prefix), d0)
  const boot = 3
  it.each([
    ['ip addr add 10.9.0.1/24 dev d0', add('10.9.0.1', 24)],
    ['ip addr add 10.9.0.2/32 dev d0 label d0:torb', add('10.9.0.2', 32, 'd0:torb')],
    ['ip addr add fd00::9/128 dev d0 nodad', add('fd00::9', 128)],
    ['ip addr del 10.9.0.1/24 dev d0', remove('10.9.0.1', 24)],
    ['ip addr del fd00::9/128 dev d0', remove('fd00::9', 128)],
    [
      'ip route add 10.8.0.0/16 via 10.9.0.254 dev d0',
      encodeRoute(
        'add',
        routeType.newRoute,
        create,
        route4('10.8.0.0', 16, { gateway: addressOf('10.9.0.254'), protocol: boot }),
        universe,
        d0,
      ),
    ],
    [
      'ip route add 10.7.0.0/16 dev d0 proto static table 1000 metric 50',
      encodeRoute(
        'add',
        routeType.newRoute,
        create,
        route4('10.7.0.0', 16, { table: 1000, priority: 50 }),
        onLink,
        d0,
      ),
    ],
    [
      'ip route add default via 10.9.0.254',
      encodeRoute(
        'add',
        routeType.newRoute,
        create,
        route4('0.0.0.0', 0, { gateway: addressOf('10.9.0.254'), protocol: boot }),
        universe,
        undefined,
      ),
    ],
    [
      'ip -6 route add fd01::/64 dev d0',
      encodeRoute(
        'add',
        routeType.newRoute,
        create,
        { family: 10, destination: addressOf('fd01::'), prefix: 64, protocol: boot },
        universe,
        d0,
      ),
    ],
    [
      'ip route del 10.8.0.0/16',
      encodeRoute('remove', routeType.deleteRoute, 0, route4('10.8.0.0', 16), nowhere, undefined),
    ],
  ])('%s: byte for byte', (line, request) => {
    const sent = captures.get(line)?.sent.at(-1) ?? new Uint8Array()
    const [message] = readMessages(sent)
    expect(framed(request, message?.sequence ?? 0)).toBe(hex(sent))
  })
})

const received = (line: string) => (captures.get(line)?.received ?? []).flatMap((item) => readMessages(item))

describe('what the kernel tells ip', () => {
  it('of links', () => {
    const links = received('ip link show')
      .filter((message) => message.type === routeType.newLink)
      .map((message) => readLayout(linkLayout, message)?.values)
    expect(links).toContainEqual({ name: 'd0', mtu: 1500, info: { kind: 'dummy' } })
  })

  it('of addresses', () => {
    const addresses = received('ip addr show')
      .filter((message) => message.type === routeType.newAddress)
      .map((message) => readLayout(addressLayout, message))
      .map((read) => `${addressText(read?.values.address ?? new Uint8Array(4))}/${read?.header.prefix}`)
    expect(addresses).toEqual(expect.arrayContaining(['10.9.0.1/24', '10.9.0.2/32', 'fd00::9/128']))
  })

  it('of routes', () => {
    const routes = received('ip route show table all')
      .filter((message) => message.type === routeType.newRoute)
      .map((message) => readLayout(routeLayout, message)?.values)
    expect(routes).toContainEqual({
      destination: addressOf('10.7.0.0'),
      table: 1000,
      priority: 50,
      interface: d0,
    })
  })
})

const namespace = `torb-test-${randomBytes(4).toString('hex')}`
const path = `/run/netns/${namespace}`
const ip = (...args: string[]) =>
  execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
const missing = ((): string => {
  try {
    ip('netns', 'add', namespace)
    ip('netns', 'delete', namespace)
    return ''
  } catch (error) {
    return (error as Error).message.trim()
  }
})()
if (missing !== '') console.warn(`skipped: rtnetlink in a namespace, which cannot be made here (${missing})`)

describe.skipIf(missing !== '')('rtnetlink of this kernel', () => {
  let route: Route
  beforeAll(async () => {
    ip('netns', 'add', namespace)
    ip('-n', namespace, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
    for (const name of ['lo', 'v0', 'v1']) ip('-n', namespace, 'link', 'set', name, 'up')
    route = await openRoute({ namespace: path })
  })
  afterAll(() => {
    route.close()
    ip('netns', 'delete', namespace)
  })

  const errnoOf = (action: () => void): number => {
    try {
      action()
    } catch (error) {
      if (error instanceof SystemCallError) return error.errno
      throw error
    }
    return 0
  }
  const show = (...args: string[]) =>
    JSON.parse(ip('-n', namespace, '-json', '-details', ...args)) as Record<string, unknown>[]

  it('lists the links of the namespace, and leaves this thread where it was', () => {
    expect(route.links().map(({ name, kind, mtu }) => ({ name, kind, mtu }))).toEqual(
      expect.arrayContaining([
        { name: 'lo', kind: '', mtu: 65_536 },
        { name: 'v0', kind: 'veth', mtu: 1500 },
        { name: 'v1', kind: 'veth', mtu: 1500 },
      ]),
    )
    expect(ip('netns', 'identify', String(process.pid)).trim()).not.toBe(namespace)
  })

  it.each([
    ['10.9.0.1', 32],
    ['10.9.1.1', 24],
    ['fd00::9', 128],
  ] as const)('adds and removes %s/%i, once', (text, prefix) => {
    const own = { interface: 'v0', address: addressOf(text), prefix }
    const seen = () => route.addresses().filter((item) => addressText(item.address) === text)
    route.addAddress(own)
    expect(seen()).toMatchObject([own])
    // Tentative: not yet usable.
    expect((seen()[0]?.flags ?? 0) & 0x40).toBe(0)
    expect(JSON.stringify(show('address', 'show', 'v0'))).toContain(`"local":"${text}","prefixlen":${prefix}`)
    expect(errnoOf(() => route.addAddress(own))).toBe(17) // EEXIST
    route.removeAddress(own)
    expect(seen()).toEqual([])
    expect(errnoOf(() => route.removeAddress(own))).toBe(99) // EADDRNOTAVAIL
  })

  it('says in words what the kernel refuses', () => {
    const own = { interface: 'v0', address: addressOf('10.9.0.1'), prefix: 99 }
    expect(() => route.addAddress(own)).toThrow(
      /^add address on v0: invalid argument: ipv4: Invalid prefix length/,
    )
    expect(() => route.addAddress({ ...own, interface: 'nope' })).toThrow('interface nope: no such device')
  })

  it('adds, lists and removes routes', () => {
    route.addAddress({ interface: 'v0', address: addressOf('10.9.0.1'), prefix: 24 })
    const through: NewRoute = {
      family: 2,
      destination: addressOf('10.8.0.0'),
      prefix: 16,
      gateway: addressOf('10.9.0.2'),
    }
    const onOther: NewRoute = {
      family: 10,
      destination: addressOf('fd01::'),
      prefix: 64,
      interface: 'v0',
      table: 1000,
      priority: 7,
    }
    const standard: NewRoute = { ...through, destination: addressOf('0.0.0.0'), prefix: 0 }
    const all = [through, onOther, standard]
    for (const item of all) route.addRoute(item)
    const static_ = { protocol: 4, type: 1, interface: 'v0' }
    expect(route.routes()).toEqual(
      expect.arrayContaining(
        [{ ...through, table: 254 }, onOther, { ...standard, table: 254 }].map((item) =>
          expect.objectContaining({ ...item, ...static_ }),
        ),
      ),
    )
    expect(errnoOf(() => route.addRoute(through))).toBe(17) // EEXIST
    for (const item of all) route.removeRoute(item)
    expect(route.routes().filter((item) => item.protocol === 4)).toEqual([])
    expect(errnoOf(() => route.removeRoute(through))).toBe(3) // ESRCH
  })

  it('lists a thousand addresses', () => {
    const file = Array.from(
      { length: 1000 },
      (_, index) => `address add 10.20.${index >> 8}.${index & 255}/32 dev v1`,
    )
    execFileSync('ip', ['-n', namespace, '-batch', '-'], { input: file.join('\n') })
    expect(route.addresses().filter((item) => item.interface === 'v1' && item.family === 2)).toHaveLength(
      1000,
    )
  })
})

describe('namespaces', () => {
  it('that do not exist are said to', async () => {
    await expect(inNamespace('/run/netns/torb-test-none', () => 0)).rejects.toThrow('ENOENT')
    await expect(openRoute({ namespace: '/run/netns/torb-test-none' })).rejects.toThrow('ENOENT')
  })
})
