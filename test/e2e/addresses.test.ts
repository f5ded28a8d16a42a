import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Network, namespacesMissing } from '../../lab/namespaces.ts'
import { Addresses } from '../../src/announce/address/addresses.ts'
import { withAddresses } from '../../src/announce/address/plane.ts'
import type { OpenControl } from '../../src/control/open.ts'
import { MemoryPlane } from '../fixtures/memoryPlane.ts'
import { MemoryStore } from '../fixtures/memoryStore.ts'
import { memoryControl } from '../fixtures/memoryControl.ts'
import type { AddressActor } from './addresses.actor.ts'
import { until } from '../../lab/until.ts'

const missing = namespacesMissing()

describe.skipIf(missing !== null)(`-vipi${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  let network: Network
  let store: MemoryStore
  const log: string[] = []

  beforeAll(async () => {
    network = await Network.create({
      bridges: { eth0: ['10.1.0.1/24'], six: ['2001:db8::5/64'], none: [] },
      local: [],
      members: {},
    })
  })
  afterAll(() => network.close())
  beforeEach(() => {
    store = new MemoryStore()
    log.length = 0
  })

  const open = (name: string | null, kept = store): Promise<Addresses> =>
    Addresses.open({
      interface: name,
      store: kept,
      log: { info: () => undefined, warn: (_fields, text) => void log.push(text) },
      namespace: `/run/netns/${network.hub.name}`,
    })
  /** Addresses of an interface but for those of the link, with their prefix length. */
  const present = async (name: string): Promise<string[]> => {
    const [link] = JSON.parse(await network.hub.run('ip', '-j', 'address', 'show', 'dev', name)) as [
      { addr_info: { local: string; prefixlen: number; scope: string; tentative?: boolean }[] },
    ]
    expect(link.addr_info.filter(({ tentative, scope }) => tentative === true && scope !== 'link')).toEqual(
      [],
    )
    return link.addr_info
      .filter(({ scope }) => scope !== 'link')
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
      .sort()
  }

  /** A running Torb as far as it matters here; `end` leaves everything as SIGTERM does. */
  async function start(
    name: string | null,
    plane = new MemoryPlane(),
  ): Promise<{ control: OpenControl; addresses: Addresses; end: () => Promise<void> }> {
    const addresses = await open(name)
    const control = await memoryControl(store, withAddresses(plane, addresses))
    await addresses.settle()
    return {
      control,
      addresses,
      end: async () => {
        await control.close()
        await addresses.close()
      },
    }
  }
  const create = (control: OpenControl, id: string, host: string, port = 80): Promise<void> =>
    control.createService(id, { host, port }, 'rest')

  it('adds an address before the plane is asked and removes it with the last service', async () => {
    const plane = new MemoryPlane()
    const { control, end } = await start('eth0', plane)
    await create(control, 'a', '10.9.0.1')
    await create(control, 'b', '10.9.0.1', 81)
    await create(control, 'c', '2001:db8:9::1')
    await control.createService('mark', { fwmark: 3 }, 'rest')
    await create(control, 'loopback', '127.0.0.9')
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.1/32', '2001:db8:9::1/128'])
    await control.deleteService('a', 'rest')
    await control.deleteService('c', 'rest')
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.1/32'])
    await control.deleteService('b', 'rest')
    expect(await present('eth0')).toEqual(['10.1.0.1/24'])
    expect(await store.load('address')).toEqual([])
    await end()
    expect(log).toEqual([])
  })

  it('has the address there when the plane is asked, and not after the plane refused', async () => {
    const plane = new MemoryPlane()
    const seen: boolean[] = []
    const { control, addresses, end } = await start('eth0', plane)
    plane.refuse = ({ after }) => {
      seen.push(after !== null && addresses.isOwn(after.address))
      return 'no'
    }
    await expect(create(control, 'a', '10.9.0.2')).rejects.toThrow('no')
    expect(seen).toEqual([true])
    expect(await present('eth0')).toEqual(['10.1.0.1/24'])
    plane.refuse = () => undefined
    await end()
  })

  it('leaves alone what the machine had already, on whichever interface', async () => {
    await network.hub.run('ip', 'address', 'add', '10.9.0.3/32', 'dev', 'eth0')
    const { control, end } = await start('eth0')
    await create(control, 'own', '10.1.0.1')
    await create(control, 'manual', '10.9.0.3')
    await create(control, 'elsewhere', '2001:db8::5')
    const before = ['10.1.0.1/24', '10.9.0.3/32']
    expect(await present('eth0')).toEqual(before)
    for (const id of ['own', 'manual', 'elsewhere']) await control.deleteService(id, 'rest')
    expect(await present('eth0')).toEqual(before)
    expect(await present('six')).toEqual(['2001:db8::5/64'])
    await end()
    await network.hub.run('ip', 'address', 'del', '10.9.0.3/32', 'dev', 'eth0')
  })

  it('keeps the addresses at the end, takes them up again, and removes what is not in use any more', async () => {
    const first = await start('eth0')
    await create(first.control, 'stays', '10.9.0.4')
    await create(first.control, 'goes', '10.9.0.5')
    await first.end()
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.4/32', '10.9.0.5/32'])
    // A crash between the durable delete and what follows from it.
    await store.commit([{ bucket: 'service', key: 'goes', value: null }])
    const second = await start('eth0')
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.4/32'])
    await second.control.deleteService('stays', 'rest')
    expect(await present('eth0')).toEqual(['10.1.0.1/24'])
    await second.end()
  })

  it('takes them up for services that the plane held all the time', async () => {
    const plane = new MemoryPlane()
    const first = await start('eth0', plane)
    await create(first.control, 'held', '10.9.0.6')
    await first.end()
    await network.hub.run('ip', 'address', 'del', '10.9.0.6/32', 'dev', 'eth0')
    const batches = plane.batches.length
    const second = await start('eth0', plane)
    expect(plane.batches.length).toBe(batches)
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.6/32'])
    await second.control.deleteService('held', 'rest')
    await second.end()
  })

  it('moves them to another interface, and takes them off where there is none', async () => {
    const first = await start('eth0')
    await create(first.control, 'moves', '10.9.0.7')
    await first.end()
    const second = await start('none')
    expect([await present('eth0'), await present('none')]).toEqual([['10.1.0.1/24'], ['10.9.0.7/32']])
    await second.end()
    const third = await start(null)
    expect(await present('none')).toEqual([])
    await third.end()
  })

  it('puts back what somebody removed', async () => {
    const { control, end } = await start('eth0')
    await create(control, 'a', '10.9.0.8')
    await network.hub.run('ip', 'address', 'del', '10.9.0.8/32', 'dev', 'eth0')
    await until(async () => (await present('eth0')).includes('10.9.0.8/32'))
    await control.deleteService('a', 'rest')
    await end()
  })

  it('says once what it cannot do, with the cure, and the service is made all the same', async () => {
    await network.hub.run('sysctl', '-q', '-w', 'net.ipv6.conf.none.disable_ipv6=1')
    const { control, end } = await start('none')
    await create(control, 'a', '2001:db8:9::2')
    await create(control, 'b', '10.9.0.9')
    expect(control.serviceIds()).toEqual(['a', 'b'])
    expect(await present('none')).toEqual(['10.9.0.9/32'])
    expect(log).toEqual([
      expect.stringMatching(
        /^virtual address 2001:db8:9::2 could not be added to none \(.+\): IPv6 is off there/,
      ) as string,
    ])
    expect((await store.load('address')).map(([key]) => key)).toEqual(['["none","10.9.0.9"]'])
    for (const id of ['a', 'b']) await control.deleteService(id, 'rest')
    await end()
  })

  it('adds nothing that it could not note, and says so', async () => {
    const addresses = await open('eth0')
    store.full = true
    addresses.claim('one', ['10.9.0.10'])
    await addresses.follow()
    expect(await present('eth0')).toEqual(['10.1.0.1/24'])
    expect(log).toEqual([expect.stringContaining('no room') as string])
    await addresses.close()
  })

  it('refuses an interface that is not there, with those that are', async () => {
    await expect(open('eth7')).rejects.toThrow(
      /^interface "eth7" does not exist on this machine: choose one of lo, .*eth0.* with -vipi$/,
    )
  })

  it('has a default address on interfaces of IPv4, of IPv6 only, and none without addresses', async () => {
    const actor = await network.hub.actor<AddressActor>(new URL('addresses.actor.ts', import.meta.url))
    expect(await actor.firstAddress('eth0', [])).toBe('10.1.0.1')
    expect(await actor.firstAddress('six', [])).toBe('2001:db8::5')
    expect(await actor.firstAddress('none', [])).toBe(null)
    // The kernel lists the latest first.
    const { control, addresses, end } = await start('six')
    await create(control, 'a', '2001:db8:9::3')
    expect(addresses.isOwn('2001:db8:9::3')).toBe(true)
    expect(await actor.firstAddress('six', ['2001:db8:9::3'])).toBe('2001:db8::5')
    await control.deleteService('a', 'rest')
    await end()
  })

  it('torb serve puts it where the listener then is, keeps it over a kill, and takes it off without the flag', async () => {
    using data = mkdtempDisposableSync(join(tmpdir(), 'torb-vipi-'))
    const torb = await network.hub.actor<AddressActor>(new URL('addresses.actor.ts', import.meta.url))
    await torb.serve(data.path, ['-vipi', 'eth0'])
    const service = { host: '10.9.0.20', port: 80, method: 'rr' }
    expect((await torb.api('PUT', '/service/web', service)).status).toBe(200)
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.20/32'])
    await torb.end('SIGKILL')
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.20/32'])
    await torb.serve(data.path, ['-vipi', 'eth0'])
    expect((await torb.api('PUT', '/service/more', { ...service, port: 81 })).status).toBe(200)
    expect((await torb.api('DELETE', '/service/web')).status).toBe(200)
    expect(await present('eth0')).toEqual(['10.1.0.1/24', '10.9.0.20/32'])
    await torb.end('SIGTERM')
    await torb.serve(data.path, [])
    expect(await present('eth0')).toEqual(['10.1.0.1/24'])
    await torb.end('SIGTERM')
  })
})
