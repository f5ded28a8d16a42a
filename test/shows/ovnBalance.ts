import { setTimeout as sleep } from 'node:timers/promises'
import type { Told } from '../../lab/client.ts'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import { flagBit } from '../../src/model/names.ts'
import { plainDestination, plainService } from '../../src/planes/plain.ts'
import { OvnPlane } from '../../src/planes/ovn/plane.ts'
import type { VirtualService } from '../../src/planes/plane.ts'
import { ovnWorld, type OvnWorld } from '../conformance/worlds/ovn.ts'
import { ledgerOver, shares } from '../conformance/rig.ts'
import type { Figures, Show } from './show.ts'

const sizes = {
  full: { clients: 250, connections: 2000, changes: 100, pauseMs: 100, drainMs: 30_000 },
  reduced: { clients: 20, connections: 300, changes: 10, pauseMs: 40, drainMs: 200 },
} as const
type Size = (typeof sizes)[keyof typeof sizes]

const serverCount = 10

/** Weights, selection by source, drain and changes under load, through a real OVN. */
export const ovnBalance: Show = {
  about:
    'shares within 3 points of weights 3:1 and 100:40:1; removing one of ten moves nobody else; a drained connection lives on; changes under load',
  missing: ovnMissing,
  async run(asked) {
    const size = sizes[asked]
    const world = await ovnWorld({ servers: serverCount, clients: size.clients })
    const log = { info: () => undefined, warn: () => undefined }
    const plane = new OvnPlane({
      northbound: [world.lab.nbAddress],
      southbound: [world.lab.sbAddress],
      owner: 'torb',
      log,
    })
    try {
      await plane.open(ledgerOver(new Map()))
      const stage = new Stage(world, plane)
      return {
        ...(await weights(stage, size, '3:1', [3, 1])),
        ...(await weights(stage, size, '100:40:1', [100, 40, 1])),
        ...(await removal(stage)),
        ...(await drain(stage, size)),
        ...(await underLoad(stage, size)),
      }
    } finally {
      await plane.close()
      await world.close()
    }
  },
}

/** The service under test; each part takes another one. */
class Stage {
  readonly world: OvnWorld
  readonly #plane: OvnPlane
  #services = 0

  constructor(world: OvnWorld, plane: OvnPlane) {
    this.world = world
    this.#plane = plane
  }

  get clients(): readonly string[] {
    return this.world.clients(4).flatMap(({ addresses }) => addresses)
  }

  async serve(weights: readonly number[], fields: Partial<VirtualService> = {}): Promise<VirtualService> {
    const backends = this.world.backends(4)
    const spec = plainService({
      id: `show-${++this.#services}`,
      ...(await this.world.vip(4)),
      scheduler: 'wrr',
      attach: this.world.attach,
      destinations: weights.map((weight, index) => {
        const { name = '', address = '', port = 0 } = backends[index] ?? {}
        return plainDestination(address, { id: name, port, weight })
      }),
      ...fields,
    })
    return this.#change(null, spec)
  }

  reweigh(before: VirtualService, backend: string, weight: number, waits = true): Promise<VirtualService> {
    const destinations = before.destinations.map((one) => (one.id === backend ? { ...one, weight } : one))
    return this.#change(before, { ...before, destinations }, waits)
  }

  without(before: VirtualService, backend: string): Promise<VirtualService> {
    return this.#change(before, {
      ...before,
      destinations: before.destinations.filter(({ id }) => id !== backend),
    })
  }

  async ask(spec: VirtualService, count: number): Promise<readonly Told[]> {
    const to = { address: spec.address, port: Number(spec.port) }
    const traffic = { protocol: 'tcp', from: this.clients, to, count, concurrency: 4 } as const
    const { answers, failures } = await this.world.exchange(traffic)
    if (failures.length > 0) throw new Error(`${failures.length} connections failed: ${failures[0]}`)
    return answers
  }

  async #change(before: VirtualService | null, after: VirtualService, waits = true): Promise<VirtualService> {
    const [outcome] = await this.#plane.apply([{ key: after.id, before, after }])
    if (outcome?.ok !== true) throw outcome?.error ?? new Error('no outcome')
    if (waits) await this.world.settle('effect')
    return after
  }
}

/** @throws Error where a share is further off its weight than 3 points, and what so few draws may be off beyond */
async function weights(
  stage: Stage,
  { connections }: Size,
  name: string,
  list: readonly number[],
): Promise<Figures> {
  const spec = await stage.serve(list)
  const counts = shares(await stage.ask(spec, connections))
  const total = list.reduce((sum, weight) => sum + weight, 0)
  const off = spec.destinations.map(
    ({ id, weight }) => ((counts[id] ?? 0) / connections - weight / total) * 100,
  )
  const worst = Math.max(...off.map(Math.abs))
  const allowed = connections < 2000 ? 3 + 8 : 3
  if (worst > allowed) throw new Error(`weights ${name}: a share is ${worst.toFixed(1)} points off`)
  return { [`${name} over ${connections} connections: largest difference, points`]: Number(worst.toFixed(1)) }
}

async function removal(stage: Stage): Promise<Figures> {
  const spec = await stage.serve(Array<number>(serverCount).fill(1), { scheduler: 'sh' })
  const where = async (of: VirtualService): Promise<Map<string, string>> =>
    new Map((await stage.ask(of, stage.clients.length)).map(({ source, backend }) => [source, backend]))
  const before = await where(spec)
  const again = await where(spec)
  const strays = [...before].filter(([source, backend]) => again.get(source) !== backend)
  if (strays.length > 0) throw new Error(`${strays.length} clients changed servers without a change`)
  const [gone] = before.values()
  const after = await where(await stage.without(spec, gone ?? ''))
  const others = [...before].filter(([, backend]) => backend !== gone)
  const moved = others.filter(([source, backend]) => after.get(source) !== backend)
  if (moved.length > others.length * 0.12)
    throw new Error(`${moved.length} of ${others.length} clients changed servers that need not have`)
  return {
    [`clients by source over ${serverCount} servers`]: before.size,
    'of those not on the server that went, moved': `${moved.length} of ${others.length}`,
  }
}

async function drain(stage: Stage, { drainMs }: Size): Promise<Figures> {
  const spec = await stage.serve([1, 1])
  const [drained = ''] = spec.destinations.map(({ id }) => id)
  const to = { address: spec.address, port: Number(spec.port) }
  const { held, failures } = await stage.world.hold({ protocol: 'tcp', from: stage.clients, to, count: 16 })
  if (failures.length > 0) throw new Error(`a connection failed: ${failures[0]}`)
  const draining = await stage.reweigh(spec, drained, 0)
  const begun = performance.now()
  let arrived = 0
  do {
    arrived += shares(await stage.ask(draining, 20))[drained] ?? 0
    await sleep(Math.min(1000, drainMs))
  } while (performance.now() - begun < drainMs)
  const answering = await stage.world.answering(held.map(({ id }) => id))
  const dead = held.filter(({ backend }, index) => answering[index] !== backend)
  if (dead.length > 0 || arrived > 0)
    throw new Error(`${dead.length} open connections died and ${arrived} new ones came to a drained backend`)
  const mine = held.filter(({ backend }) => backend === drained).length
  await stage.world.release(held.map(({ id }) => id))
  return { [`connections of a drained backend alive after ${drainMs / 1000} s`]: `${mine} of ${mine}` }
}

/**
 * Weights move under load. Where Open vSwitch chooses by a hash in the datapath (no selection fields), it loses the packets
 * between its two looks at one, which TCP sends again after a second; where it chooses by fields it loses none.
 *
 * @throws Error where more than one in a thousand connections fails
 */
async function underLoad(stage: Stage, { changes, pauseMs }: Size): Promise<Figures> {
  const figures: Record<string, string> = {}
  for (const [name, fields] of [
    ['wrr', {}],
    ['mh by port', { scheduler: 'mh', flags: flagBit.port }],
  ] as const) {
    let spec = await stage.serve([1, 1, 1, 1], fields)
    const to = { address: spec.address, port: Number(spec.port) }
    const traffic = { protocol: 'tcp', from: stage.clients, to, count: 0, concurrency: 16 } as const
    const load = await stage.world.start(traffic)
    const ids = spec.destinations.map(({ id }) => id)
    for (let n = 0; n < changes; n++) {
      spec = await stage.reweigh(spec, ids[n % 4] ?? '', (n * 7) % 5, false)
      await sleep(pauseMs)
    }
    const { answers, failures } = await stage.world.stop(load)
    const total = answers.length + failures.length
    if (failures.length > total / 1000)
      throw new Error(`${failures.length} of ${total} connections failed: ${failures[0]}`)
    figures[`${name}, failed under ${changes} changes`] = `${failures.length} of ${total} connections`
  }
  return figures
}
