import { plainDestination, plainService } from '../planes/plain.ts'
import { afterEach, describe, expect, it } from 'vitest'
import { MemoryPlane } from '../../test/fixtures/memoryPlane.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import type { BackendBody } from '../model/backend.ts'
import type { PlaneName } from '../model/names.ts'
import type { Destination } from '../planes/plane.ts'
import { EventLog } from './events.ts'
import { openControl, type OpenControl } from './open.ts'

const open: OpenControl[] = []
afterEach(async () => {
  for (const control of open.splice(0)) await control.close()
})

async function start(
  store = new MemoryStore(),
  plane = new MemoryPlane(),
  {
    flush = false,
    adopt = false,
    observe = false,
    planes = new Map<PlaneName, MemoryPlane>([['userspace', plane]]),
  } = {},
) {
  const control = await openControl({
    store,
    planes,
    defaultPlane: [...planes.keys()][0] ?? 'userspace',
    events: new EventLog(),
    flush,
    adopt,
    observe,
    maxChecks: 16,
    now: Date.now,
    log: { info: () => undefined, warn: () => undefined },
    resolve: (name) =>
      name === 'web.test' ? Promise.resolve('10.0.0.9') : Promise.reject(new Error(`no ${name}`)),
    defaultHost: () => '10.0.0.1',
    isOwnListener: (address, port) => address === '127.0.0.1' && port === 4672,
  })
  open.push(control)
  return { control, store, plane }
}

const backend = (host: string, more: Partial<BackendBody> = {}): BackendBody => ({
  host,
  port: 80,
  pulse: { type: 'none' },
  ...more,
})
const weights = (plane: MemoryPlane, id: string) =>
  plane.held.get(id)?.destinations.map((d) => [d.id, d.weight])
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: { code?: string; message: string }) => `${error.code}: ${error.message}`,
  )

describe('writes', () => {
  it('a service and its backends are in the store and in the plane when the write resolves', async () => {
    const { control, store, plane } = await start()
    await control.createService('web', { port: 80, method: 'rr' }, 'rest')
    expect(store.rows.get('service')?.has('web')).toBe(true)
    expect(plane.held.get('web')).toMatchObject({
      address: '10.0.0.1',
      port: 80,
      scheduler: 'rr',
      destinations: [],
    })
    await control.createBackend('web', 'a', backend('10.0.0.2'), 'rest')
    await control.createBackend('web', 'b', backend('web.test', { weight: 0 }), 'rest')
    expect(weights(plane, 'web')).toEqual([
      ['a', 100],
      ['b', 0],
    ])
    expect(control.backend('web', 'b')).toMatchObject({ address: '10.0.0.9', options: { host: 'web.test' } })
    await control.patchBackend('web', 'b', { weight: 7 }, 'rest')
    await control.deleteBackend('web', 'a', 'rest')
    expect(weights(plane, 'web')).toEqual([['b', 7]])
    await control.deleteService('web', 'rest')
    expect(plane.held.size).toBe(0)
    expect(store.rows.get('service')?.size).toBe(0)
    expect(store.rows.get('backend')?.size).toBe(0)
    expect(control.serviceIds()).toEqual([])
  })

  it('what is wrong is refused with its code and changes nothing', async () => {
    const { control, store, plane } = await start()
    await control.createService('web', { port: 80 }, 'rest')
    await control.createBackend('web', 'a', backend('10.0.0.2'), 'rest')
    const [before, asked] = [store.dump(), plane.batches.length]
    const refused = [
      control.createService('web', { port: 81 }, 'rest'),
      control.createService('other', { port: 80 }, 'rest'),
      control.createService('other', { port: 0 }, 'rest'),
      control.createService('other', { port: 1, host: 'nowhere.test' }, 'rest'),
      control.createService('other', { port: 1, plane: 'ovn' }, 'rest'),
      control.createService('other', { port: 'any' }, 'rest'),
      control.createBackend('web', 'a', backend('10.0.0.3'), 'rest'),
      control.createBackend('web', 'b', backend('10.0.0.2'), 'rest'),
      control.createBackend('none', 'a', backend('10.0.0.3'), 'rest'),
      control.createBackend('web', 'b', backend('::1'), 'rest'),
      control.createBackend('web', 'b', backend('127.0.0.1', { port: 4672 }), 'rest'),
      control.patchService('web', { port: 81 }, 'rest'),
      control.patchService('web', { host: '10.0.0.7' }, 'rest'),
      control.patchService('none', {}, 'rest'),
      control.patchBackend('web', 'a', { port: 81 }, 'rest'),
      control.patchBackend('web', 'a', { weight: null }, 'rest'),
      control.patchBackend('web', 'x', { weight: 1 }, 'rest'),
      control.deleteBackend('web', 'x', 'rest'),
      control.deleteService('none', 'rest'),
    ]
    expect(await Promise.all(refused.map(code))).toMatchInlineSnapshot(`
      [
        "exists: specified object already exists",
        "exists: specified object already exists: service "web" has tcp 10.0.0.1:80 already",
        "invalid: endpoint information is missing",
        "invalid: host "nowhere.test" is neither an address nor a name that resolves: no nowhere.test",
        "invalid: plane "ovn" is not open in this Torb: choose userspace, or start Torb with --plane ovn or --ovn-nb",
        "invalid: the userspace plane cannot take any port ("port": "any")",
        "exists: specified object already exists",
        "exists: specified object already exists: backend "a" of service "web" is 10.0.0.2:80 already",
        "unknown: unable to locate specified object",
        "invalid: incompatible address families",
        "invalid: backend 127.0.0.1:4672 is Torb's own API: balancing to it would let strangers in as local; name the port of a server",
        "invalid: host, port, protocol and fwmark of a service cannot be changed: delete service "web" and create it anew",
        "invalid: host, port, protocol and fwmark of a service cannot be changed: delete service "web" and create it anew",
        "unknown: unable to locate specified object",
        "invalid: port of a backend cannot be changed (it is 80): delete the backend and create it anew",
        "invalid: weight null ends an override of a configured weight, and backend "a" has none",
        "unknown: unable to locate specified object",
        "unknown: unable to locate specified object",
        "unknown: unable to locate specified object",
      ]
    `)
    expect(store.dump()).toBe(before)
    expect(plane.batches.length).toBe(asked)
  })

  it('equal host, port and protocol in a PATCH are accepted', async () => {
    const { control, plane } = await start()
    await control.createService('web', { host: 'web.test', port: 80 }, 'rest')
    await control.patchService(
      'web',
      { host: '10.0.0.9', port: 80, protocol: 'TCP', method: 'sh', flags: 'sh-port' },
      'rest',
    )
    expect(plane.held.get('web')).toMatchObject({ scheduler: 'sh', flags: 0x10 })
  })

  it('a plane that refuses, at each place of a batch, leaves wish, store and plane agreeing', async () => {
    for (const bad of ['s0', 's1', 's2', 's3']) {
      const { control, store, plane } = await start()
      plane.refuse = (change) => (change.key === bad ? 'the test says no' : undefined)
      const answers = await Promise.all(
        ['s0', 's1', 's2', 's3'].map((id, index) =>
          code(control.createService(id, { port: 1000 + index }, 'rest')),
        ),
      )
      expect(answers).toEqual(
        ['s0', 's1', 's2', 's3'].map((id) => (id === bad ? 'refused: the test says no' : 'ok')),
      )
      const good = ['s0', 's1', 's2', 's3'].filter((id) => id !== bad)
      expect(control.serviceIds().sort()).toEqual(good)
      expect([...plane.held.keys()].sort()).toEqual(good)
      expect([...(store.rows.get('service')?.keys() ?? [])].sort()).toEqual(good)
      // The address is free again, and so is the name.
      plane.refuse = () => undefined
      expect(await code(control.createService('x', { port: 1000 + Number(bad[1]) }, 'rest'))).toBe('ok')
    }
  })

  it('a change that the plane refuses is undone, health and all', async () => {
    const { control, store, plane } = await start()
    await control.createService('web', { port: 80 }, 'rest')
    await control.createBackend('web', 'a', backend('10.0.0.2'), 'rest')
    const before = store.dump()
    plane.refuse = () => 'no'
    expect(await code(control.patchBackend('web', 'a', { weight: 5 }, 'rest'))).toBe('refused: no')
    expect(await code(control.createBackend('web', 'b', backend('10.0.0.3'), 'rest'))).toBe('refused: no')
    expect(await code(control.deleteService('web', 'rest'))).toBe('refused: no')
    expect(control.backend('web', 'a')?.options.weight).toBe(100)
    expect(control.service('web')?.reconcile.state).toBe('applied')
    expect(control.events.since(0).filter(({ event }) => event.type.startsWith('plane-'))).toEqual([])
    expect(weights(plane, 'web')).toEqual([['a', 100]])
    expect(JSON.parse(store.dump()).filter(([name]: [string]) => name !== 'health')).toEqual(
      JSON.parse(before),
    )
  })

  it('a full disk refuses the write and changes nothing', async () => {
    const { control, store, plane } = await start()
    await control.createService('web', { port: 80 }, 'rest')
    const asked = plane.batches.length
    store.full = true
    expect(await code(control.createBackend('web', 'a', backend('10.0.0.2'), 'rest'))).toBe(
      'full: no room in the test',
    )
    expect(control.service('web')?.backends).toEqual([])
    expect(plane.batches.length).toBe(asked)
    store.full = false
    expect(await code(control.createBackend('web', 'a', backend('10.0.0.2'), 'rest'))).toBe('ok')
  })

  it('many writes at once share transactions and batches; those to one service keep their order', async () => {
    const { control, store, plane } = await start()
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => control.createService(`s${i}`, { port: i + 1 }, 'rest')),
    )
    expect(store.commits).toBeLessThan(5)
    expect(plane.batches.length).toBeLessThan(5)
    await control.createBackend('s0', 'a', backend('10.0.0.2'), 'rest')
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => control.patchBackend('s0', 'a', { weight: i }, 'rest')),
    )
    expect(weights(plane, 's0')).toEqual([['a', 19]])
  })

  it('a change of one weight is one change of one service', async () => {
    const { control, plane } = await start()
    for (const id of ['x', 'y']) {
      await control.createService(id, { port: id === 'x' ? 1 : 2 }, 'rest')
      for (const n of [1, 2, 3]) await control.createBackend(id, `b${n}`, backend(`10.0.1.${n}`), 'rest')
    }
    plane.batches.length = 0
    await control.patchBackend('x', 'b2', { weight: 3 }, 'rest')
    expect(plane.batches.flat().map(({ key }) => key)).toEqual(['x'])
    const [before, after] = [
      plane.batches[0]?.[0]?.before?.destinations,
      plane.batches[0]?.[0]?.after?.destinations,
    ]
    expect(after?.filter((destination, i) => destination !== before?.[i]).map(({ id }) => id)).toEqual(['b2'])
    await control.patchBackend('x', 'b2', { weight: 3 }, 'rest')
    expect(plane.batches.length).toBe(1)
  })
})

describe('restart', () => {
  it('applies only what differs, and withdraws what nobody wishes for any more', async () => {
    const first = await start()
    await first.control.createService('kept', { port: 1 }, 'rest')
    await first.control.createBackend('kept', 'a', backend('10.0.0.2'), 'rest')
    await first.control.createService('gone', { port: 2 }, 'rest')
    await first.control.close()
    // A crash between the durable delete and the plane's.
    await first.store.commit([{ bucket: 'service', key: 'gone', value: null }])
    first.plane.batches.length = 0
    const { plane, control } = await start(first.store, first.plane)
    expect(plane.batches.flat().map(({ key, after }) => [key, after])).toEqual([['gone', null]])
    expect(control.serviceIds()).toEqual(['kept'])
    expect(control.backend('kept', 'a')?.options.host).toBe('10.0.0.2')
  })

  it('keeps list order', async () => {
    const first = await start()
    await first.control.createService('web', { port: 1 }, 'rest')
    for (const id of ['z', 'm', 'a', '10', '9'])
      await first.control.createBackend('web', id, backend(`10.1.${id.charCodeAt(0)}.${id.length}`), 'rest')
    await first.control.close()
    const { control } = await start(first.store, new MemoryPlane())
    expect(control.service('web')?.backends).toEqual(['z', 'm', 'a', '10', '9'])
  })

  it('keeps the weight that the plane carries where health is unknown', async () => {
    const first = await start()
    await first.control.createService('web', { port: 1 }, 'rest')
    await first.control.createBackend(
      'web',
      'a',
      backend('10.0.0.2', { pulse: { type: 'tcp', interval: '1h' } }),
      'rest',
    )
    await first.control.close()
    const held = first.plane.held.get('web')
    if (held === undefined) throw new Error('not held')
    first.plane.held.set('web', {
      ...held,
      destinations: held.destinations.map((d) => ({ ...d, weight: 0 })),
    })
    const { plane } = await start(first.store, first.plane)
    expect(weights(plane, 'web')).toEqual([['a', 0]])
  })

  it('-f removes what the plane holds first', async () => {
    const first = await start()
    await first.control.createService('web', { port: 1 }, 'rest')
    await first.control.close()
    first.plane.batches.length = 0
    const { plane } = await start(first.store, first.plane, { flush: true })
    expect(plane.batches.flat().map(({ key, before }) => [key, before])).toEqual([['web', null]])
  })

  it('a service that cannot be applied is failing, is retried, and recovers', async () => {
    const first = await start()
    await first.control.createService('web', { port: 1 }, 'rest')
    await first.control.close()
    const plane = new MemoryPlane()
    plane.refuse = () => 'port 1 is taken'
    const { control } = await start(first.store, plane)
    expect(control.service('web')?.reconcile).toMatchObject({ state: 'failing', message: 'port 1 is taken' })
    plane.refuse = () => undefined
    await expect.poll(() => control.service('web')?.reconcile.state, { timeout: 5000 }).toBe('applied')
    expect(plane.held.has('web')).toBe(true)
    expect(control.events.since(0).map(({ event }) => event.type)).toEqual([
      'plane-failed',
      'plane-recovered',
    ])
  })

  it('a stored object that cannot be read stops the start', async () => {
    const store = new MemoryStore()
    await store.commit([{ bucket: 'service', key: 'web', value: '{' }])
    await expect(start(store)).rejects.toThrow('stored object web cannot be read; bring back a backup')
  })
})

describe('drift', () => {
  it('what somebody changes behind Torb is noticed and repaired', async () => {
    const { control, plane } = await start()
    await control.createService('web', { port: 1 }, 'rest')
    await control.createBackend('web', 'a', backend('10.0.0.2'), 'rest')
    const given = plane.held.get('web')
    if (given === undefined) throw new Error('not held')
    plane.held.set('web', { ...given, scheduler: 'lc' })
    await expect.poll(() => plane.held.get('web')?.scheduler, { timeout: 5000 }).toBe('wrr')
    plane.held.delete('web')
    await expect.poll(() => weights(plane, 'web'), { timeout: 5000 }).toEqual([['a', 100]])
    const drifts = control.events
      .since(0)
      .flatMap(({ event }) => (event.type === 'plane-drift' ? [event.difference] : []))
    expect(drifts).toEqual(['scheduler wrr became lc', 'the service is gone'])
    const { type, plane: name } = { ...control.events.since(0).at(-1)?.event } as {
      type?: string
      plane?: string
    }
    expect([type, name]).toEqual(['plane-repaired', 'userspace'])
  })

  it('weights, lost and added destinations are told one by one', async () => {
    const { control, plane } = await start()
    await control.createService('web', { port: 1 }, 'rest')
    for (const id of ['a', 'b'])
      await control.createBackend('web', id, backend(`10.0.0.${id === 'a' ? 2 : 3}`), 'rest')
    const given = plane.held.get('web')
    const [a, b] = given?.destinations ?? []
    if (given === undefined || a === undefined || b === undefined) throw new Error('not held')
    plane.held.set('web', {
      ...given,
      destinations: [
        { ...a, weight: 1 },
        { ...b, id: '10.0.0.9:80', address: '10.0.0.9' },
      ],
    })
    await expect
      .poll(() => weights(plane, 'web'), { timeout: 5000 })
      .toEqual([
        ['a', 100],
        ['b', 100],
      ])
    const told = control.events
      .since(0)
      .flatMap(({ event }) => (event.type === 'plane-drift' ? [event.difference] : []))
    expect(told).toEqual([
      'backend b is gone; 10.0.0.9:80 with weight 100 was added; backend a: weight 100 became 1',
    ])
    expect(control.events.since(0).filter(({ event }) => event.type === 'weight-changed')).toEqual([])
  })
})

describe('health', () => {
  const refused = backend('127.0.0.1', { port: 1, pulse: { type: 'tcp', interval: '1s' } })
  const status = (control: OpenControl) => control.backend('web', 'a')?.metrics.status

  it('takes a failing backend out, says why, and is still known after a restart', async () => {
    const first = await start()
    await first.control.createService('web', { port: 1 }, 'rest')
    await first.control.createBackend('web', 'a', refused, 'rest')
    await expect.poll(() => weights(first.plane, 'web'), { timeout: 5000 }).toEqual([['a', 0]])
    expect(first.control.backend('web', 'a')).toMatchObject({
      effectiveWeight: 0,
      reason: 'Down: connection refused',
    })
    expect(first.control.events.since(0).map(({ event }) => event.type)).toEqual([
      'service-created',
      'backend-created',
      'backend-down',
      'weight-changed',
    ])
    await first.control.close()
    const { control, plane } = await start(first.store, new MemoryPlane())
    expect(status(control)).toBe(1)
    expect(weights(plane, 'web')).toEqual([['a', 0]])
  })

  it('moves weights while the disk is full, and is stored once there is room', async () => {
    const { control, store, plane } = await start()
    await control.createService('web', { port: 1 }, 'rest')
    await control.createBackend('web', 'a', refused, 'rest')
    store.full = true
    await expect.poll(() => weights(plane, 'web'), { timeout: 5000 }).toEqual([['a', 0]])
    expect(store.rows.get('health')?.size ?? 0).toBe(0)
    store.full = false
    await control.patchService('web', { method: 'rr' }, 'rest')
    await expect.poll(() => store.rows.get('health')?.size).toBe(1)
  })

  it('where all are Down, fb-zero-to-one gives each a weight of 1', async () => {
    const { control, plane } = await start()
    await control.createService('web', { port: 1, fallback: 'fb-zero-to-one' }, 'rest')
    await control.createBackend('web', 'a', refused, 'rest')
    await control.createBackend('web', 'b', { ...refused, host: '127.0.0.2' }, 'rest')
    await expect
      .poll(() => weights(plane, 'web')?.map(([, weight]) => weight), { timeout: 8000 })
      .toEqual([1, 1])
    expect(control.backend('web', 'a')?.reason).toBe(
      'Down: connection refused; gets traffic because every backend is Down (fb-zero-to-one)',
    )
  })
})

describe('drains', () => {
  it('a draining backend has weight 0 and goes when its last connection ends', async () => {
    const { control, plane } = await start()
    await control.createService('web', { port: 1 }, 'rest')
    await control.createBackend('web', 'a', backend('10.0.0.2'), 'rest')
    plane.active = 3
    await control.deleteBackend('web', 'a', 'rest', 60_000)
    expect(weights(plane, 'web')).toEqual([['a', 0]])
    expect(control.backend('web', 'a')).toMatchObject({ draining: true, effectiveWeight: 0 })
    plane.active = 0
    await expect.poll(() => control.service('web')?.backends, { timeout: 5000 }).toEqual([])
    await expect
      .poll(() =>
        control.events
          .since(0)
          .flatMap(({ event }) => ('active' in event ? [[event.type, event.active]] : [])),
      )
      .toEqual([
        ['drain-started', 3],
        ['drain-ended', 0],
      ])
  })

  it('takes its time where the plane cannot count connections: none that it knows of are not none', async () => {
    const plane = new MemoryPlane({ activeConnections: false })
    const { control } = await start(new MemoryStore(), plane)
    await control.createService('web', { port: 1 }, 'rest')
    await control.createBackend('web', 'a', backend('10.0.0.2'), 'rest')
    await control.createBackend('web', 'b', backend('10.0.0.3'), 'rest')
    await control.deleteBackend('web', 'a', 'rest', 60_000)
    await control.deleteBackend('web', 'b', 'rest', 600)
    await expect.poll(() => control.service('web')?.backends, { timeout: 5000 }).toEqual(['a'])
  })

  it('ends at its deadline, is kept over a restart, and a weight given anew ends it', async () => {
    const first = await start()
    await first.control.createService('web', { port: 1 }, 'rest')
    for (const id of ['a', 'b'])
      await first.control.createBackend('web', id, backend(`10.0.0.${id.charCodeAt(0)}`), 'rest')
    first.plane.active = 1
    await first.control.deleteBackend('web', 'a', 'rest', 600)
    await first.control.deleteBackend('web', 'b', 'rest', 60_000)
    await first.control.close()
    const { control, plane } = await start(first.store, first.plane)
    expect(control.backend('web', 'b')?.draining).toBe(true)
    await control.patchBackend('web', 'b', { weight: 9 }, 'rest')
    await expect.poll(() => weights(plane, 'web'), { timeout: 5000 }).toEqual([['b', 9]])
  })
})

describe('the configuration file', () => {
  const web = (backends: [string, BackendBody][], port = 80) => [
    { id: 'web', options: { port }, backends: backends.map(([id, options]) => ({ id, options })) },
  ]

  it('its objects are created, changed and removed with it; REST may only override weights', async () => {
    const { control, plane, store } = await start()
    await control.createService('mine', { port: 1 }, 'rest')
    expect(
      await control.replaceConfigured(
        web([
          ['a', backend('10.0.0.2')],
          ['b', backend('10.0.0.3')],
        ]),
      ),
    ).toEqual({ ok: true, changes: 1 })
    expect(await code(control.deleteService('web', 'rest'))).toContain(
      'owned: service "web" comes from the configuration file',
    )
    expect(await code(control.createBackend('web', 'c', backend('10.0.0.4'), 'rest'))).toContain('owned:')
    expect(await code(control.deleteBackend('web', 'a', 'rest'))).toContain('owned:')
    expect(await code(control.patchService('web', { method: 'rr' }, 'rest'))).toContain('owned:')
    expect(await code(control.patchBackend('web', 'a', { weight: 1, limits: {} }, 'rest'))).toContain(
      'owned:',
    )
    await control.patchBackend('web', 'a', { weight: 0 }, 'rest')
    expect(control.backend('web', 'a')).toMatchObject({
      overridden: true,
      effectiveWeight: 0,
      options: { weight: 0 },
    })
    expect(await control.replaceConfigured(web([['a', backend('10.0.0.2')]]))).toEqual({
      ok: true,
      changes: 1,
    })
    expect(weights(plane, 'web')).toEqual([['a', 0]])
    await control.patchBackend('web', 'a', { weight: null }, 'rest')
    expect(weights(plane, 'web')).toEqual([['a', 100]])
    const commits = store.commits
    expect(await control.replaceConfigured(web([['a', backend('10.0.0.2')]]))).toEqual({
      ok: true,
      changes: 0,
    })
    expect(store.commits).toBe(commits)
    expect(await control.replaceConfigured([])).toEqual({ ok: true, changes: 1 })
    expect(control.serviceIds()).toEqual(['mine'])
  })

  it('one wrong object and nothing changes', async () => {
    const { control, store } = await start()
    await control.createService('mine', { port: 1 }, 'rest')
    await control.replaceConfigured(web([['a', backend('10.0.0.2')]]))
    const before = store.dump()
    const wrong = [
      web([
        ['a', backend('10.0.0.2')],
        ['b', backend('::2')],
      ]),
      web([
        ['a', backend('10.0.0.2')],
        ['b', backend('10.0.0.2')],
      ]),
      web([], 1),
      [...web([]), { id: 'mine', options: { port: 5 }, backends: [] }],
      [...web([]), { id: 'twin', options: { port: 80 }, backends: [] }],
    ]
    const outcomes = []
    for (const objects of wrong) outcomes.push(await control.replaceConfigured(objects))
    expect(outcomes).toMatchInlineSnapshot(`
      [
        {
          "backend": null,
          "message": "incompatible address families",
          "ok": false,
          "service": "web",
        },
        {
          "backend": "b",
          "message": "backend "a" has the address 10.0.0.2:80 already",
          "ok": false,
          "service": "web",
        },
        {
          "backend": null,
          "message": "specified object already exists: service "mine" has tcp 10.0.0.1:1 already",
          "ok": false,
          "service": "web",
        },
        {
          "backend": null,
          "message": "service "mine" was created by REST: delete it there, or name it otherwise in the file",
          "ok": false,
          "service": "mine",
        },
        {
          "backend": null,
          "message": "specified object already exists: service "web" has tcp 10.0.0.1:80 already",
          "ok": false,
          "service": "twin",
        },
      ]
    `)
    expect(store.dump()).toBe(before)
  })
})

describe('what somebody else has in the plane', () => {
  const destination = (address: string, weight = 5): Destination => plainDestination(address, { weight })
  const stranger = plainService({
    id: 'tcp 10.0.0.1:80',
    flags: 0x02,
    destinations: [destination('10.0.0.2'), destination('10.0.0.3', 0)],
  })
  const withStranger = (): MemoryPlane => {
    const plane = new MemoryPlane()
    plane.strangers = [stranger]
    return plane
  }
  const types = (control: OpenControl) => control.events.since(0).map(({ event }) => event.type)

  it('stands in the way of a new service, by REST and by file, and nothing changes', async () => {
    const { control, store, plane } = await start(undefined, withStranger())
    const before = store.dump()
    expect(await code(control.createService('web', { port: 80, method: 'rr' }, 'rest'))).toBe(
      "refused: the userspace plane has a service at tcp 10.0.0.1:80 that is not Torb's: remove it (with what made it), or start Torb with --adopt to take an equal one over",
    )
    const configured = await control.replaceConfigured([
      { id: 'web', options: { port: 80, method: 'rr' }, backends: [] },
    ])
    expect(configured).toMatchObject({ ok: false, service: 'web' })
    expect(store.dump()).toEqual(before)
    expect(plane.batches).toEqual([])
    expect(control.serviceIds()).toEqual([])
    await control.createService('other', { port: 81 }, 'rest')
    expect((await control.planes())[0]?.foreign).toEqual([stranger])
  })

  it('is taken over where it is equal and --adopt was given, with its backends, and the plane is asked for nothing', async () => {
    const { control, store, plane } = await start(undefined, withStranger(), { adopt: true })
    await control.createService('web', { port: 80, method: 'rr' }, 'rest')
    expect(types(control)).toContain('service-adopted')
    expect(
      control.backends('web').map(({ id, options }) => [id, options.weight, options.pulse.type]),
    ).toEqual([
      ['10.0.0.2:80', 5, 'none'],
      ['10.0.0.3:80', 0, 'none'],
    ])
    const asked = () =>
      plane.batches
        .flat()
        .map((change) =>
          [change.before, change.after].map((spec) => spec?.destinations.map((d) => [d.id, d.weight])),
        )
    // Flags that only the kernel sets differ: the plane sees that nothing is to be sent.
    expect(
      asked()
        .flat()
        .every(
          (list) =>
            JSON.stringify(list) ===
            JSON.stringify([
              ['10.0.0.2:80', 5],
              ['10.0.0.3:80', 0],
            ]),
        ),
    ).toBe(true)
    await control.createBackend('web', 'a', backend('10.0.0.2', { weight: 9 }), 'rest')
    expect(control.service('web')?.backends).toEqual(['a', '10.0.0.3:80'])
    expect(weights(plane, 'web')).toEqual([
      ['a', 9],
      ['10.0.0.3:80', 0],
    ])
    await control.close()
    const again = await start(store, plane)
    expect(again.control.service('web')?.backends).toEqual(['a', '10.0.0.3:80'])
    await again.control.deleteService('web', 'rest')
    expect(plane.held.size).toBe(0)
  })

  it('is refused with what differs where it is not equal', async () => {
    const { control } = await start(undefined, withStranger(), { adopt: true })
    expect(
      await code(control.createService('web', { port: 80, method: 'wrr', flags: 'sh-port' }, 'rest')),
    ).toContain('it differs in method (it has rr), flags (it has 2)')
    const persistence = { timeout: 300 }
    expect(
      await code(control.createService('web', { port: 80, method: 'rr', persistence }, 'rest')),
    ).toContain('persistence (it has none)')
  })

  it('a file takes over what it names and removes what it does not', async () => {
    const { control, plane } = await start(undefined, withStranger(), { adopt: true })
    const web = {
      id: 'web',
      options: { port: 80, method: 'rr' },
      backends: [{ id: 'b', options: backend('10.0.0.3', { weight: 3 }) }],
    }
    expect(await control.replaceConfigured([web])).toMatchObject({ ok: true })
    const [change] = plane.batches.flat()
    expect(change?.before?.destinations.map(({ id, weight }) => [id, weight])).toEqual([
      ['b', 0],
      ['10.0.0.2:80', 5],
    ])
    expect(weights(plane, 'web')).toEqual([['b', 3]])
  })

  it('stays as it was where the plane refuses what would follow the takeover', async () => {
    const plane = withStranger()
    plane.refuse = () => 'no'
    const { control, store } = await start(undefined, plane, { adopt: true })
    expect(await code(control.createService('web', { port: 80, method: 'rr' }, 'rest'))).toBe('refused: no')
    expect(plane.batches.flat()).toHaveLength(1)
    expect([...store.rows.values()].filter((rows) => rows.size > 0)).toEqual([])
    expect(control.serviceIds()).toEqual([])
  })
})

describe('several planes', () => {
  it('a change of the default plane moves what was on the old one', async () => {
    const [kernel, user, store] = [
      new MemoryPlane({ name: 'ipvs' }),
      new MemoryPlane({ survivesExit: false }),
      new MemoryStore(),
    ]
    const first = await start(store, kernel, {
      planes: new Map<PlaneName, MemoryPlane>([
        ['ipvs', kernel],
        ['userspace', user],
      ]),
    })
    await first.control.createService('web', { port: 80 }, 'rest')
    await first.control.createService('kept', { port: 81, plane: 'ipvs' }, 'rest')
    expect([...kernel.held.keys(), ...user.held.keys()]).toEqual(['web', 'kept'])
    await first.control.close()
    await start(store, user, {
      planes: new Map<PlaneName, MemoryPlane>([
        ['userspace', user],
        ['ipvs', kernel],
      ]),
    })
    expect([...kernel.held.keys()]).toEqual(['kept'])
    expect([...user.held.keys()]).toEqual(['web'])
  })
})

it('direct routing and tunnels keep the port of the service', async () => {
  const { control } = await start(undefined, new MemoryPlane({ tunnels: new Set(['ipip']) }))
  await control.createService('web', { port: 80 }, 'rest')
  expect(
    await code(control.createBackend('web', 'a', backend('10.0.0.2', { port: 8080, method: 'dr' }), 'rest')),
  ).toBe(
    'invalid: backend "a" has port 8080, but with method dr packets keep the port of the service: give it port 80, or method nat',
  )
  await control.createBackend('web', 'a', backend('10.0.0.2', { method: 'ipip' }), 'rest')
})
