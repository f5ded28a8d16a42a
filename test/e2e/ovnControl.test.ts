import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ovnMissing, startOvn, type OvnLab } from '../../lab/ovn/ovn.ts'
import type { OpenControl } from '../../src/control/open.ts'
import { OvnPlane } from '../../src/planes/ovn/plane.ts'
import { memoryControl } from '../fixtures/memoryControl.ts'
import { MemoryStore } from '../fixtures/memoryStore.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: a virtual network under control: ${missing}`)

const attach = { switches: ['inside'] }
const backend = { port: 80, pulse: { type: 'none' } }

describe.skipIf(missing !== null)('a virtual network under control', () => {
  let lab: OvnLab
  const warned: string[] = []

  beforeAll(async () => {
    lab = await startOvn({ chassis: 1 })
    await lab.nbctl('ls-add', 'inside', '--', 'ls-add', 'dmz')
  }, 60_000)
  afterAll(() => lab?.close())

  /** A Torb of this mark; it ends with the returned object. */
  async function torb(
    owner: string,
    options: { adopt?: boolean; observe?: boolean; store?: MemoryStore; vswitchd?: string[] } = {},
  ): Promise<OpenControl & AsyncDisposable> {
    const { store = new MemoryStore(), vswitchd = [], ...rest } = options
    const log = { info: () => undefined, warn: (_: object, text: string) => void warned.push(text) }
    const plane = new OvnPlane({
      northbound: [lab.nbAddress],
      southbound: [lab.sbAddress],
      owner,
      vswitchd,
      log,
    })
    const control = await memoryControl(store, plane, { ...rest, log })
    return Object.assign(control, { [Symbol.asyncDispose]: () => control.close() })
  }

  const column = async (name: string, column: string): Promise<string> =>
    (await lab.nbctl('--bare', `--columns=${column}`, 'find', 'Load_Balancer', `name=${name}`)).trim()

  it('a write is applied when all chassis have followed; one that is held lags by its name, over a restart too', async () => {
    const store = new MemoryStore()
    const control = await torb('effect', { store })
    const [chassis] = lab.chassis
    await control.createService('web', { host: '10.9.1.1', port: 80, attach }, 'rest')
    expect(await control.applied('web', 10_000)).toEqual({ state: 'applied', lagging: [] })
    expect(control.service('web')?.reconcile).toMatchObject({ state: 'applied', lagging: [] })

    chassis?.controller.freeze()
    try {
      await control.createBackend('web', 'a', { ...backend, host: '10.8.0.1' }, 'rest')
      expect(control.service('web')?.reconcile.state).toBe('accepted')
      await expect
        .poll(() => control.service('web')?.reconcile, { timeout: 10_000 })
        .toMatchObject({ message: 'not in effect yet on hv1', lagging: ['hv1'] })
      expect(await control.applied('web', 20)).toEqual({ state: 'accepted', lagging: ['hv1'] })
      expect((await control.planes())[0]?.lag).toMatchObject({ services: 1, lagging: new Map([['hv1', 1]]) })
      await control.close()
    } catch (error) {
      chassis?.controller.thaw()
      throw error
    }
    await using again = await torb('effect', { store })
    try {
      await expect
        .poll(() => again.service('web')?.reconcile, { timeout: 10_000 })
        .toMatchObject({ state: 'accepted', lagging: ['hv1'] })
    } finally {
      chassis?.controller.thaw()
    }
    expect(await again.applied('web', 10_000)).toEqual({ state: 'applied', lagging: [] })
    await again.deleteService('web', 'rest')
    expect(await again.applied('web', 10_000)).toEqual({ state: 'applied', lagging: [] })
  }, 60_000)

  it('with --observe what somebody does with ovn-nbctl is told and left until the next write', async () => {
    await using control = await torb('watched', { observe: true })
    await control.createService('seen', { host: '10.9.2.1', port: 80, attach }, 'rest')
    await control.createBackend('seen', 'a', { ...backend, host: '10.8.0.1' }, 'rest')
    const listed = await column('seen', 'vips')
    await lab.nbctl(
      '--may-exist',
      'lb-add',
      'seen',
      '10.9.2.1:80',
      '10.8.0.7:80',
      '--',
      'ls-lb-del',
      'inside',
      'seen',
    )
    await expect.poll(() => control.service('seen')?.reconcile.state, { timeout: 10_000 }).toBe('drifted')
    expect(control.service('seen')?.reconcile.message).toMatch(/attach/)
    await sleep(600)
    expect(await column('seen', 'vips')).toContain('10.8.0.7:80')
    await control.patchBackend('seen', 'a', { weight: 7 }, 'rest')
    expect(control.service('seen')?.reconcile.state).not.toBe('drifted')
    expect(await column('seen', 'vips')).toBe(listed)
    expect(await lab.nbctl('ls-lb-list', 'inside')).toContain('seen')
    await control.deleteService('seen', 'rest')
  }, 60_000)

  it('without it the same is repaired; a chassis that cannot be asked is told at the start', async () => {
    await using control = await torb('repaired', { vswitchd: ['/nowhere', lab.chassis[0]?.directory ?? ''] })
    await expect
      .poll(() => warned.splice(0), { timeout: 10_000 })
      .toEqual([expect.stringMatching(/^ovs-vswitchd at \/nowhere cannot be asked: there is no such socket/)])
    await control.createService('fixed', { host: '10.9.3.1', port: 80, attach }, 'rest')
    await lab.nbctl('ls-lb-del', 'inside', 'fixed')
    await expect.poll(() => lab.nbctl('ls-lb-list', 'inside'), { timeout: 10_000 }).toContain('fixed')
    const types = control.events.since(0).map(({ event }) => event.type)
    expect(types).toEqual(expect.arrayContaining(['plane-drift', 'plane-repaired']))
    await control.deleteService('fixed', 'rest')
  }, 60_000)

  it('a second Torb of the same mark stands by, leaves what it does not know, and writes when the first one ends', async () => {
    const spare = new MemoryStore()
    const before = await torb('pair', { store: spare })
    await before.createService('spare', { host: '10.9.5.3', port: 80, attach }, 'rest')
    await before.close()
    const stored = [{ bucket: 'service', key: 'spare', value: (await spare.load('service'))[0]?.[1] ?? '' }]
    await lab.nbctl('lb-del', 'spare')
    const first = await torb('pair')
    await first.createService('mine', { host: '10.9.5.1', port: 80, attach }, 'rest')
    await first.createBackend('mine', 'a', { ...backend, host: '10.8.0.1', weight: 3 }, 'rest')
    await first.createBackend('mine', 'b', { ...backend, host: '10.8.0.2', weight: 0 }, 'rest')
    const listed = await column('mine', 'vips')
    const store = new MemoryStore()
    await store.commit(stored)
    await using second = await torb('pair', { store })
    // It wants something that the first one does not know: that waits, and is no failure.
    expect(second.service('spare')?.reconcile).toMatchObject({
      state: 'accepted',
      message: expect.stringMatching(/another Torb writes what is marked torb-owner=pair .*takes over/),
    })
    expect(await second.planes()).toMatchObject([{ failing: 0, drifted: 0, facts: { writer: false } }])
    expect(second.events.since(0)).toEqual([])
    expect(warned.splice(0)).toEqual([])
    const other = { host: '10.9.5.2', port: 80, attach }
    await expect(second.createService('other', other, 'rest')).rejects.toMatchObject({ code: 'unreachable' })
    expect(second.serviceIds()).toEqual(['spare'])
    await first.close()
    await expect
      .poll(
        () =>
          second.createService('other', other, 'rest').then(
            () => 'written',
            () => 'refused',
          ),
        {
          timeout: 10_000,
        },
      )
      .toBe('written')
    expect(await lab.nbctl('ls-lb-list', 'inside')).toMatch(/mine[^]*other|other[^]*mine/)
    await second.deleteService('other', 'rest')
    await expect.poll(() => second.service('spare')?.reconcile.state, { timeout: 10_000 }).toBe('applied')
    expect(await lab.nbctl('ls-lb-list', 'inside')).toContain('spare')
    await second.deleteService('spare', 'rest')
    // What the first one left goes on under the second one's service, until its backends are told anew.
    const uuid = await column('mine', '_uuid')
    await second.createService('mine', { host: '10.9.5.1', port: 80, attach }, 'rest')
    expect([await column('mine', '_uuid'), await column('mine', 'vips')]).toEqual([uuid, listed])
    await second.createBackend('mine', 'a', { ...backend, host: '10.8.0.1', weight: 3 }, 'rest')
    expect(await column('mine', 'vips')).toBe(listed)
    expect(second.service('mine')?.backends).toEqual(['a', 'b'])
    await second.deleteService('mine', 'rest')
    expect(await column('mine', 'vips')).toBe('')
  }, 60_000)

  it('with --adopt what is there becomes services, marked in place; of several addresses each its own', async () => {
    await lab.nbctl(
      '--reject',
      'lb-add',
      'shop',
      '10.9.4.1:80',
      '10.8.0.1:80,10.8.0.1:80,10.8.0.2:80',
      '--',
      'ls-lb-add',
      'inside',
      'shop',
      '--',
      'lb-add',
      'mail',
      '10.9.4.2:25',
      '10.8.0.3:25',
      '--',
      'lb-add',
      'mail',
      '10.9.4.2:143',
      '10.8.0.3:143',
      '--',
      'ls-lb-add',
      'dmz',
      'mail',
      '--',
      'lb-add',
      'loose',
      '10.9.4.3:53',
      '10.8.0.4:53',
      'udp',
      '--',
      'lb-add',
      'theirs',
      '10.9.4.4:80',
      '10.8.0.4:80',
      '--',
      'set',
      'Load_Balancer',
      'theirs',
      'external_ids:torb-owner=somebody',
    )
    await lab.nbctl(
      'lb-add',
      'asked',
      '10.9.4.5:80',
      '10.8.0.9:80',
      '--',
      'lsp-add',
      'inside',
      'p9',
      '--',
      'lsp-set-addresses',
      'p9',
      '0a:00:00:00:00:09 10.8.0.9',
    )
    await lab.nbctl(
      '--id=@check',
      'create',
      'Load_Balancer_Health_Check',
      'vip="10.9.4.5:80"',
      'options:interval=7',
      'options:failure_count=3',
      '--',
      'add',
      'Load_Balancer',
      'asked',
      'health_check',
      '@check',
      '--',
      'set',
      'Load_Balancer',
      'asked',
      'ip_port_mappings:10.8.0.9="p9:10.8.0.254"',
    )
    // The address of another one, on a switch of its own.
    await lab.nbctl('lb-add', 'twin', '10.9.4.1:80', '10.8.0.7:80', '--', 'ls-lb-add', 'dmz', 'twin')
    const uuid = await column('shop', '_uuid')
    const check = await column('asked', 'health_check')
    const store = new MemoryStore()
    {
      await using control = await torb('new', { adopt: true, store })
      await control.importForeign()
      expect(control.serviceIds().toSorted()).toEqual(['asked', 'loose', 'mail', 'mail-2', 'shop', 'twin'])
      expect(warned).toEqual([expect.stringMatching(/theirs is marked torb-owner=somebody/)])
      expect(await control.applied('shop', 10_000)).toEqual({ state: 'applied', lagging: [] })
      expect(control.service('shop')).toMatchObject({
        address: '10.9.4.1',
        options: { port: 80, method: 'wrr', attach },
      })
      expect(
        control.backends('shop').map(({ address, effectiveWeight }) => [address, effectiveWeight]),
      ).toEqual([
        ['10.8.0.1', 2],
        ['10.8.0.2', 1],
      ])
      expect(control.backend('asked', '10.8.0.9:80')?.options.pulse).toEqual({
        type: 'tcp',
        interval: '7s',
        args: null,
        timeout: '3s',
        rise: 1,
        fall: 3,
      })
      expect(control.service('asked')?.options.ovn).toMatchObject({ check_source: '10.8.0.254' })
      expect(control.service('loose')?.options).toMatchObject({ protocol: 'udp', port: 53 })
      expect(
        ['mail', 'mail-2']
          .map((id) => control.service(id)?.options.port)
          .toSorted((a, b) => Number(a) - Number(b)),
      ).toEqual([25, 143])
    }
    expect(await lab.nbctl('ls-lb-list', 'dmz')).toMatch(/twin +tcp +10\.9\.4\.1:80 +10\.8\.0\.7:80/)
    expect(await column('twin', 'external_ids')).toContain('torb-service=twin')
    expect(await column('shop', '_uuid')).toBe(uuid)
    expect(check).not.toBe('')
    expect(await column('asked', 'health_check')).toBe(check)
    expect(await column('shop', 'external_ids')).toContain('torb-owner=new')
    expect((await lab.nbctl('ls-lb-list', 'dmz')).match(/10\.9\.4\.2/g)?.length).toBe(2)
    {
      await using control = await torb('new', { adopt: true, store })
      await control.importForeign()
      expect(control.serviceIds().toSorted()).toEqual(['asked', 'loose', 'mail', 'mail-2', 'shop', 'twin'])
      expect(control.events.since(0).map(({ event }) => event.type)).toEqual([])
    }
  }, 60_000)
})
