import * as fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { MemoryPlane } from '../../test/fixtures/memoryPlane.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import { plainDestination, plainService } from '../planes/plain.ts'
import type { VirtualService } from '../planes/plane.ts'
import { freeName } from './imports.ts'
import type { ControlOptions } from './open.ts'

const attach = { switches: ['inside'], routers: [], groups: [] }
const row = (id: string, address: string, fields: Partial<VirtualService> = {}): VirtualService =>
  plainService({
    id,
    address,
    scheduler: 'wrr',
    attach,
    destinations: [plainDestination('10.8.0.1', { weight: 3 }), plainDestination('10.8.0.2')],
    ...fields,
  })

async function world(
  strangers: VirtualService[],
  options: Partial<ControlOptions> = {},
  plane: MemoryPlane = new NetworkPlane(),
  store = new MemoryStore(),
) {
  const warned: string[] = []
  const log = { info: () => undefined, warn: (_: object, text: string) => void warned.push(text) }
  plane.strangers = strangers
  const control = await memoryControl(store, plane, { adopt: true, log, ...options })
  onTestFinished(() => control.close())
  return { control, plane, store, warned }
}

describe('--adopt with a virtual network', () => {
  it('what others have becomes services of their names, one for each virtual address, and is marked as ours', async () => {
    const strangers = [
      row('web', '10.9.0.1'),
      row('web', '10.9.0.2', { ovn: { skip_snat: true }, persistence: { timeout: 60, prefix: 32 } }),
      row('a/b', '10.9.0.3', { attach: null, scheduler: 'sh', flags: 0x10 }),
      row('', '10.9.0.4', { protocol: 'udp', destinations: [] }),
    ]
    const { control, plane, warned } = await world(strangers)
    await control.importForeign()
    expect(warned).toEqual([])
    expect(control.serviceIds()).toEqual(['web', 'web-2', 'a-b', 'udp 10.9.0.4:80'])
    expect(control.service('web')).toMatchObject({
      owner: 'rest',
      options: { host: '10.9.0.1', port: 80, method: 'wrr', attach },
    })
    expect(control.service('web-2')?.options).toMatchObject({
      ovn: { skip_snat: true },
      persistence: { timeout: 60, netmask: 32 },
    })
    expect(control.service('a-b')?.options).toMatchObject({ method: 'sh', flags: 'sh-port' })
    expect(
      control
        .backends('web')
        .map(({ id, options, effectiveWeight }) => [id, options.pulse.type, effectiveWeight]),
    ).toEqual([
      ['10.8.0.1:80', 'none', 3],
      ['10.8.0.2:80', 'none', 1],
    ])
    // The plane is asked, with the entry as it told it, so that it can put its mark on it; nothing else changes.
    const changes = plane.batches.flat()
    expect(changes.map(({ key, foreign }) => [key, foreign])).toEqual([
      ['web', true],
      ['web-2', true],
      ['a-b', true],
      ['udp 10.9.0.4:80', true],
    ])
    for (const [index, { before, after }] of changes.entries()) {
      expect(before).toBe(strangers[index])
      expect({ ...before, id: '' }).toEqual({ ...after, id: '' })
    }
    expect(plane.strangers).toEqual([])
  })

  it('a restart knows them as its own', async () => {
    const { control, plane, store } = await world([row('web', '10.9.0.1')])
    await control.importForeign()
    await control.close()
    const asked = plane.batches.length
    const { control: again } = await world([], {}, plane, store)
    await again.importForeign()
    expect(again.serviceIds()).toEqual(['web'])
    expect(plane.batches.length).toBe(asked)
  })

  it('what cannot be taken over is said and left', async () => {
    const both = { ...attach, switches: ['inside', 'dmz'] }
    const { control, plane, warned } = await world([
      row('web', '10.9.0.1'),
      row('other', '10.9.0.1', { attach: both }),
    ])
    await control.importForeign()
    expect(control.serviceIds()).toEqual(['web'])
    expect(warned).toEqual([
      'other, tcp 10.9.0.1:80 is not taken over: specified object already exists: service "web" has tcp 10.9.0.1:80 already',
    ])
    expect(plane.strangers.map(({ id }) => id)).toEqual(['other'])
  })

  it('one address at places of their own is several services, over a restart too', async () => {
    const strangers = [
      row('web', '10.9.0.1'),
      row('web', '10.9.0.1', { attach: { ...attach, switches: ['dmz'] }, scheduler: 'rr' }),
      row('web', '10.9.0.1', { attach: { switches: [], routers: ['edge'], groups: [] } }),
    ]
    const { control, plane, store, warned } = await world(strangers)
    await control.importForeign()
    expect(warned).toEqual([])
    const shown = (of: typeof control) =>
      of.serviceIds().map((id) => [id, Object.values(of.service(id)?.options.attach ?? {}).flat()])
    const three = [
      ['web', ['inside']],
      ['web-2', ['dmz']],
      ['web-3', ['edge']],
    ]
    expect(shown(control)).toEqual(three)
    // None of them may come to where another one is, and where nobody is stays free.
    const moved = { attach: { switches: ['inside', 'dmz'] } }
    await expect(control.patchService('web-2', moved, 'rest')).rejects.toThrow(
      'service "web" has tcp 10.9.0.1:80 already',
    )
    await control.deleteService('web', 'rest')
    await control.patchService('web-2', moved, 'rest')
    await control.close()
    const { control: again } = await world([], {}, plane, store)
    expect(shown(again)).toEqual([['web-2', ['inside', 'dmz']], three[2]])
    const body = { host: '10.9.0.1', port: 80, method: 'wrr' }
    await expect(again.createService('web', { ...body, attach }, 'rest')).rejects.toThrow(
      'service "web-2" has',
    )
    await expect(again.createService('web', { ...body, plane: 'ovn' }, 'rest')).rejects.toThrow('already')
  })

  it('a file may have one address at places of their own, and not twice at one', async () => {
    const { control } = await world([])
    const at = (place: (id: string) => string) =>
      ['x', 'y'].map((id) => ({
        id,
        options: { host: '10.9.0.1', port: 80, attach: { switches: [place(id)] } },
        backends: [],
      }))
    expect(await control.replaceConfigured(at((id) => id))).toEqual({ ok: true, changes: 2 })
    expect(await control.replaceConfigured(at(() => 'inside'))).toMatchObject({
      ok: false,
      service: 'y',
      message: expect.stringContaining('service "x" has tcp 10.9.0.1:80 already'),
    })
  })

  it('without --adopt, and on a plane whose entries have no names, nothing is', async () => {
    const { control } = await world([row('web', '10.9.0.1')], { adopt: false })
    await control.importForeign()
    expect(control.serviceIds()).toEqual([])
    const { control: kernel } = await world([row('web', '10.9.0.1', { attach: null })], {}, new MemoryPlane())
    await kernel.importForeign()
    expect(kernel.serviceIds()).toEqual([])
  })

  it('only what is attached to the same place stands in the way of a new service', async () => {
    const { control } = await world([row('theirs', '10.9.0.1')], { adopt: false })
    const body = { host: '10.9.0.1', port: 80, method: 'wrr' }
    await expect(control.createService('web', { ...body, attach }, 'rest')).rejects.toThrow(
      /has a service at tcp 10\.9\.0\.1:80 that is not Torb's: remove it \(ovn-nbctl lb-del\)/,
    )
    await control.createService('web', { ...body, attach: { switches: ['dmz'] } }, 'rest')
    expect(control.serviceIds()).toEqual(['web'])
  })

  it('what differs in its places or options is not equal', async () => {
    const { control } = await world([row('theirs', '10.9.0.1', { ovn: { add_route: true } })])
    const wish = {
      host: '10.9.0.1',
      port: 80,
      method: 'wrr',
      attach: { switches: ['inside'], routers: ['edge'] },
    }
    await expect(control.createService('web', wish, 'rest')).rejects.toThrow(
      'differs in attach (it has switches inside), ovn (it has {add_route:true})',
    )
  })
})

describe('freeName', () => {
  it('is an id that nobody has', () => {
    const name = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.constantFrom('web', 'a/b', '\n'))
    fc.assert(
      fc.property(fc.array(name, { maxLength: 8 }), (names) => {
        const taken = new Set<string>()
        for (const id of names) {
          const free = freeName(plainService({ id }), taken)
          expect(free).toMatch(/^[^/\p{Cc}]{1,255}$/su)
          expect(free.length).toBeLessThanOrEqual(255)
          expect(taken.has(free)).toBe(false)
          taken.add(free)
        }
      }),
    )
  })
})

describe('what bears the mark of this Torb', () => {
  it('is left where it is neither wished for nor noted: another Torb of the same mark has made it', async () => {
    const { plane } = await world([])
    await plane.apply([{ key: 'theirs', before: null, after: row('theirs', '10.9.0.1') }])
    const asked = plane.batches.length
    const { control, warned } = await world([], { adopt: false }, plane)
    expect([...plane.held.keys()]).toEqual(['theirs'])
    expect(warned).toEqual([expect.stringContaining('another Torb with the same mark made them')])
    // Who asks for it gets it, as he asks for it, and its backends go on.
    await control.createService('theirs', { host: '10.9.0.1', port: 80, method: 'rr', attach }, 'rest')
    expect(plane.batches.length).toBe(asked + 1)
    expect(plane.held.get('theirs')).toMatchObject({
      scheduler: 'rr',
      destinations: row('', '').destinations,
    })
    expect(plane.batches.at(-1)?.map(({ foreign }) => foreign)).toEqual([undefined])
  })

  const checked = { type: 'tcp', intervalMs: 2000, timeoutMs: 1000, rise: 1, fall: 1, decides: true } as const
  const marked = row('web', '10.9.0.1', {
    destinations: [
      plainDestination('10.8.0.1', { id: 'a', weight: 2, maxWeight: 8 }),
      plainDestination('10.8.0.2', { id: 'b', weight: 0, maxWeight: 8, check: checked }),
      plainDestination('10.8.0.3', { id: 'c' }),
    ],
  })
  const web = { host: '10.9.0.1', port: 80, method: 'wrr', attach }

  it('keeps each backend until somebody gives its name or its place to another one', async () => {
    const plane = new NetworkPlane()
    plane.held.set('web', marked)
    const { control, store } = await world([], { adopt: false }, plane)
    await control.createService('web', web, 'rest')
    const shown = () =>
      control
        .backends('web')
        .map(({ id, options: { host, weight, pulse } }) => [id, host, weight, pulse.type])
    expect(shown()).toEqual([
      ['a', '10.8.0.1', 2, 'none'],
      ['b', '10.8.0.2', 8, 'tcp'],
      ['c', '10.8.0.3', 1, 'none'],
    ])
    const put = (id: string, host: string) =>
      control.createBackend('web', id, { host, port: 80, weight: 5, pulse: { type: 'none' } }, 'rest')
    await put('a', '10.8.0.1')
    await put('b', '10.8.0.9')
    await put('d', '10.8.0.3')
    const told = [
      ['a', '10.8.0.1', 5, 'none'],
      ['b', '10.8.0.9', 5, 'none'],
      ['d', '10.8.0.3', 5, 'none'],
    ]
    expect(shown()).toEqual(told)
    await expect(put('a', '10.8.0.8')).rejects.toMatchObject({ code: 'exists' })
    await control.close()
    const { control: again } = await world([], { adopt: false }, plane, store)
    expect(again.backends('web').map(({ id }) => id)).toEqual(['a', 'b', 'd'])
  })

  it('a backend with the name of one and the place of another takes the place of both', async () => {
    const plane = new NetworkPlane()
    plane.held.set('web', marked)
    const { control } = await world([], { adopt: false }, plane)
    await control.createService('web', web, 'rest')
    await control.createBackend('web', 'a', { host: '10.8.0.3', port: 80, pulse: { type: 'none' } }, 'rest')
    expect(control.backends('web').map(({ id, address }) => [id, address])).toEqual([
      ['b', '10.8.0.2'],
      ['a', '10.8.0.3'],
    ])
  })

  it('stays as it is where it is asked for at another address, unless it is described whole', async () => {
    const plane = new NetworkPlane()
    plane.held.set('web', marked)
    const { control } = await world([], { adopt: false }, plane)
    const moved = { ...web, host: '10.9.0.7' }
    await expect(control.createService('web', moved, 'rest')).rejects.toThrow(
      'the ovn plane has service "web" of this Torb\'s mark, unknown to its store, at tcp 10.9.0.1:80: ask for it there, or remove it (ovn-nbctl lb-del)',
    )
    expect(plane.held.get('web')).toBe(marked)
    expect(control.serviceIds()).toEqual([])
    const backends = [{ id: 'x', options: { host: '10.8.0.5', port: 80 } }]
    const outcome = await control.replaceConfigured([{ id: 'web', options: moved, backends }])
    expect(outcome).toEqual({ ok: true, changes: 1 })
    expect(plane.held.get('web')).toMatchObject({ address: '10.9.0.7', destinations: [{ id: 'x' }] })
  })

  it('becomes services of the same names with --adopt, before what others have', async () => {
    const plane = new NetworkPlane()
    plane.held.set('web', marked)
    const { control, warned } = await world([row('web', '10.9.0.2')], {}, plane)
    await control.importForeign()
    expect(warned.slice(1)).toEqual([])
    expect(control.serviceIds()).toEqual(['web', 'web-2'])
    expect(control.service('web')?.backends).toEqual(['a', 'b', 'c'])
  })

  it('and was given up in a crash is removed', async () => {
    const { control, plane, store } = await world([])
    await control.createService('web', { host: '10.9.0.1', port: 80, attach }, 'rest')
    await control.close()
    await store.commit([{ bucket: 'service', key: 'web', value: null }])
    await world([], { adopt: false }, plane, store)
    expect([...plane.held.keys()]).toEqual([])
  })
})
