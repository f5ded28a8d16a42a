import { expect } from 'vitest'
import { shares, type Cases } from '../rig.ts'

const counted = (protocol: 'tcp' | 'udp' | 'http'): Cases => ({
  [`connections are counted for the service and for each backend (${protocol})`]: async (rig) => {
    rig.mustCount()
    const spec = await rig.serve({ protocol })
    const expected = shares(await rig.ask(spec, { count: rig.sample }))
    await rig.world.settle('statistics')
    const { connections, destinations } = await rig.counters(spec)
    expect(connections).toBe(rig.sample)
    expect(Object.fromEntries([...destinations].map(([id, counters]) => [id, counters.connections]))).toEqual(
      expected,
    )
  },
  [`bytes are counted in each direction (${protocol})`]: async (rig) => {
    rig.mustCount()
    const spec = await rig.serve({ protocol })
    // 1200 bytes fit one packet.
    const asked = await rig.ask(spec, { count: rig.sample, questions: 4, bytes: 1200 })
    await rig.world.settle('statistics')
    const total = await rig.counters(spec)
    const payload = asked.length * 1200
    const parts = [...total.destinations.values()]
    for (const direction of ['bytesIn', 'bytesOut'] as const) {
      expect(total[direction]).toBeGreaterThanOrEqual(payload)
      // Planes that see packets count their headers too.
      expect(total[direction]).toBeLessThan(payload * 1.5)
      expect(parts.reduce((sum, part) => sum + part[direction], 0)).toBe(total[direction])
    }
  },
})

export const counters: Cases = {
  ...counted('tcp'),
  ...counted('udp'),
  ...counted('http'),
  'in is what clients send': async (rig) => {
    rig.mustCount()
    const spec = await rig.serve()
    // A question of 2 bytes, an answer of some hundred.
    await rig.ask(spec, { count: rig.sample, questions: 20, bytes: 0 })
    await rig.world.settle('statistics')
    const { bytesIn, bytesOut } = await rig.counters(spec)
    expect(bytesIn).toBeLessThan(bytesOut)
  },
  'open connections are counted while they are open': async (rig) => {
    if (!rig.can.activeConnections) rig.skip(`the ${rig.can.name} plane does not know open connections`)
    const spec = await rig.serve()
    const held = await rig.hold(spec, rig.sample)
    for (const [backend, count] of Object.entries(shares(held))) await rig.activeIs(spec, backend, count)
    expect((await rig.counters(spec)).active).toBe(held.length)
    await rig.release(held)
    for (const { id } of spec.destinations) await rig.activeIs(spec, id, 0)
    expect((await rig.counters(spec)).active).toBe(0)
  },
  'changes of weights and backends keep what was counted': async (rig) => {
    rig.mustCount()
    const spec = await rig.serve({ weights: [1, 1, 1] })
    await rig.ask(spec)
    await rig.world.settle('statistics')
    const before = await rig.counters(spec)
    const kept = spec.destinations.slice(0, 2)
    await rig.change(await rig.reweigh(spec, kept[0]?.id ?? '', 7), { destinations: kept })
    const after = await rig.counters(spec)
    expect(after.connections).toBe(before.connections)
    expect([...after.destinations.keys()].sort()).toEqual(kept.map(({ id }) => id).sort())
    for (const { id } of kept) {
      expect(after.destinations.get(id)?.connections).toBe(before.destinations.get(id)?.connections)
    }
  },
  'a service that comes anew counts from zero': async (rig) => {
    rig.mustCount()
    const spec = await rig.serve()
    await rig.ask(spec)
    await rig.accepted({ key: spec.id, before: spec, after: null })
    await rig.accepted({ key: spec.id, before: null, after: spec })
    await rig.world.settle('statistics')
    expect((await rig.counters(spec)).connections).toBe(0)
  },
  'counters set to zero count anew, and what is open stays open': async (rig) => {
    rig.mustCount()
    const spec = await rig.serve()
    const held = await rig.hold(spec, 2)
    await rig.ask(spec)
    await rig.world.settle('statistics')
    await rig.plane.zero([spec.id, 'nobody'])
    await rig.world.settle('statistics')
    const zeroed = await rig.counters(spec)
    expect(zeroed.connections).toBe(0)
    if (rig.can.activeConnections) expect(zeroed.active).toBe(2)
    await rig.ask(spec, { count: 6 })
    await rig.world.settle('statistics')
    expect((await rig.counters(spec)).connections).toBe(6)
    await rig.alive(held)
  },
  'counters of unknown keys are left out': async (rig) => {
    const spec = await rig.serve()
    expect([...(await rig.plane.counters([spec.id, 'nobody'])).keys()]).toEqual([spec.id])
    expect([...(await rig.plane.counters()).keys()]).toContain(spec.id)
  },
  'explain knows the only backend that can be meant': async (rig) => {
    const spec = await rig.serve({ weights: [0, 1] })
    const [source = ''] = rig.clients()
    const flow = { protocol: spec.protocol, source, sourcePort: 40_000, destination: spec.address }
    const { backend } = await rig.plane.explain({ ...flow, destinationPort: Number(spec.port) })
    expect(backend).toBe(spec.destinations[1]?.id)
  },
  'explain does not take a turn': async (rig) => {
    const spec = await rig.serve({ scheduler: 'rr' })
    const [source = ''] = rig.clients()
    const flow = {
      protocol: spec.protocol,
      source,
      sourcePort: 40_000,
      destination: spec.address,
      destinationPort: Number(spec.port),
    }
    for (let turn = 0; turn < 5; turn++) {
      const { service, backend, steps } = await rig.plane.explain(flow)
      expect(service).toBe(spec.id)
      // Whose turn it is inside a kernel is not known.
      expect([null, ...spec.destinations.map(({ id }) => id)]).toContain(backend)
      expect(steps.length).toBeGreaterThan(0)
      const answers = await rig.ask(spec, { count: 4 })
      if (rig.can.spread === 'exact') rig.inProportion(answers, spec)
    }
  },
  'explain knows where a hash sends a client': async (rig) => {
    if (rig.can.spread === 'hash')
      rig.skip(`the hash of the ${rig.can.name} plane is computed where its packets are, out of sight`)
    const scheduler = (['sh', 'mh'] as const).find((name) => rig.can.schedulers.has(name)) ?? 'sh'
    const spec = await rig.serve({ scheduler, weights: [1, 1, 1] })
    for (const source of rig.clients().slice(0, 6)) {
      const [answer] = await rig.ask(spec, { from: [source], count: 1 })
      const flow = { protocol: spec.protocol, source, sourcePort: 40_000 }
      const to = { destination: spec.address, destinationPort: Number(spec.port) }
      expect((await rig.plane.explain({ ...flow, ...to })).backend).toBe(answer?.backend)
    }
  },
  'explain says when nobody would take a connection': async (rig) => {
    const spec = await rig.serve({ weights: [0] })
    const [source = ''] = rig.clients()
    const flow = { protocol: spec.protocol, source, sourcePort: 40_000, destination: spec.address }
    const drained = await rig.plane.explain({ ...flow, destinationPort: Number(spec.port) })
    expect(drained).toMatchObject({ service: spec.id, backend: null })
    const stranger = await rig.plane.explain({ ...flow, destinationPort: 1 })
    expect(stranger).toMatchObject({ service: null, backend: null })
    for (const { steps } of [drained, stranger]) expect(steps.length).toBeGreaterThan(0)
  },
}
