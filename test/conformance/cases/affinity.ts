import { expect } from 'vitest'
import type { Told } from '../../../lab/client.ts'
import type { Family } from '../../../src/model/address.ts'
import { backendsBySource, shares, type Cases } from '../rig.ts'

const bits = (family: Family): number => (family === 4 ? 32 : 128)

/** The one backend that all these answers came from. */
function onlyBackend(answers: readonly Told[], of: string): string {
  const backends = Object.keys(shares(answers))
  expect(backends, `backends of ${of}`).toHaveLength(1)
  return backends[0] ?? ''
}

const sticks = (family: Family, protocol: 'tcp' | 'udp' | 'http'): Cases => ({
  [`a client stays on its backend (${protocol}, IPv${family})`]: async (rig) => {
    const persistence = { timeout: 300, prefix: bits(family) }
    const spec = await rig.serve({ family, protocol, persistence, weights: [1, 1, 1] })
    for (const source of rig.clients(family).slice(0, 4)) {
      onlyBackend(await rig.ask(spec, { from: [source], count: 6 }), source)
    }
  },
})

const byNetwork = (family: Family): Cases => ({
  [`clients of one network share a backend (IPv${family})`]: async (rig) => {
    rig.clients(family)
    const networks = rig.networks(2, family)
    const spec = await rig.serve({
      family,
      persistence: { timeout: 300, prefix: networks[0]?.prefix ?? 0 },
      scheduler: 'rr',
    })
    const backends: string[] = []
    for (const { addresses } of networks) {
      const answers = await rig.ask(spec, { from: addresses, count: addresses.length * 2 })
      backends.push(onlyBackend(answers, `the network of ${addresses[0]}`))
    }
    expect(new Set(backends).size, 'rr gives the second network the other backend').toBe(2)
  },
})

export const affinity: Cases = {
  ...sticks(4, 'tcp'),
  ...sticks(4, 'udp'),
  ...sticks(6, 'tcp'),
  ...sticks(6, 'udp'),
  ...sticks(4, 'http'),
  ...byNetwork(4),
  ...byNetwork(6),
  'clients with affinity are spread over the backends': async (rig) => {
    const from = rig.severalClients(12)
    const spec = await rig.serve({ persistence: { timeout: 300, prefix: 32 }, weights: [1, 1, 1] })
    const bySource = backendsBySource(await rig.ask(spec, { from, count: from.length * 2 }))
    expect(new Set([...bySource.values()].flatMap((backends) => [...backends])).size).toBeGreaterThan(1)
  },
  'a client leaves its backend when that goes to weight 0': async (rig) => {
    const spec = await rig.serve({ persistence: { timeout: 300, prefix: 32 }, weights: [1, 1] })
    const from = rig.clients().slice(0, 1)
    const backend = onlyBackend(await rig.ask(spec, { from, count: 3 }), from.join())
    const draining = await rig.reweigh(spec, backend, 0)
    expect(onlyBackend(await rig.ask(draining, { from, count: 6 }), from.join())).not.toBe(backend)
  },
  'a client leaves its backend when that is removed': async (rig) => {
    const spec = await rig.serve({ persistence: { timeout: 300, prefix: 32 }, weights: [1, 1] })
    const from = rig.clients().slice(0, 1)
    const backend = onlyBackend(await rig.ask(spec, { from, count: 3 }), from.join())
    const fewer = await rig.change(spec, {
      destinations: spec.destinations.filter(({ id }) => id !== backend),
    })
    expect(onlyBackend(await rig.ask(fewer, { from, count: 6 }), from.join())).not.toBe(backend)
  },
  'affinity can be taken off a live service': async (rig) => {
    const spec = await rig.serve({ scheduler: 'rr', persistence: { timeout: 300, prefix: 32 } })
    const from = rig.clients().slice(0, 1)
    onlyBackend(await rig.ask(spec, { from, count: 4 }), from.join())
    const free = await rig.change(spec, { persistence: null })
    rig.inProportion(await rig.ask(free, { from, count: rig.enough(8) }), free)
  },
}
