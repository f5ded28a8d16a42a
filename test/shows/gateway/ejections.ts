import { setTimeout as sleep } from 'node:timers/promises'
import type { Figures } from '../show.ts'
import { ask } from './client.ts'
import type { EngineActor } from './engine.actor.ts'
import type { InstanceActor } from './instance.actor.ts'
import type { RunningGateway } from './processes.ts'

const path = '/function/pair/ok'
const failuresInARow = 3
/** The longest, and what follows of it. */
const backOff = {
  full: { max: '4s', expected: [1000, 2000, 4000, 4000] },
  reduced: { max: '2s', expected: [1000, 2000] },
} as const

/** Passive ejection: longer each time, up to the most; back after a success; never of the last one. */
export async function ejectionsAndFloor(
  { actor, port }: RunningGateway,
  instances: InstanceActor,
  size: 'full' | 'reduced',
): Promise<Figures> {
  const { max, expected } = backOff[size]
  const ejection = { failures: failuresInARow, base: '1s', max }
  const [good, bad] = [
    await instances.misbehaving('A', '127.0.0.1'),
    await instances.misbehaving('B', '127.0.0.1'),
  ]
  await actor.put('pair', { ips: [good, bad], weights: [1, 1], ejection })
  await instances.always(bad, '/reset')
  await actor.ejections()

  const lengths: number[] = []
  let requests = 0
  for (let i = 0; lengths.length < expected.length; i++) {
    if (i > 5000) throw new Error(`only ${lengths.length} ejections of an instance that always fails`)
    const { status, body } = await ask(port, path)
    if (status !== 200 || body.toString() !== 'A')
      throw new Error(`a request got ${status} ${body.toString()}`)
    requests++
    for (const [instance, milliseconds] of await actor.ejections()) {
      if (instance !== bad) throw new Error(`${instance} was ejected, which is good`)
      lengths.push(milliseconds)
    }
    await sleep(2)
  }
  if (lengths.join() !== expected.join()) throw new Error(`ejected for ${lengths.join(', ')} ms`)
  // While it is out it gets nothing: each ejection but the first came of one failure.
  const failures = (await actor.state('pair'))?.instances[1]?.failures
  if (failures !== failuresInARow + lengths.length - 1)
    throw new Error(`${failures} requests went to an instance that should have been out`)

  await instances.always(bad, null)
  for (let i = 0; (await ask(port, path)).body.toString() !== 'B'; i++) {
    if (i > 5000) throw new Error('an instance that works again stays out')
    await sleep(2)
  }
  let ofB = 0
  for (let index = 0; index < 100; index++) if ((await ask(port, path)).body.toString() === 'B') ofB++
  if (ofB !== 50) throw new Error(`after its return it served ${ofB} of 100 requests instead of 50`)

  await neverTheLast(actor, port, instances, [good, bad])
  return {
    'requests while one of two instances failed': requests,
    'ejected for': `${lengths.join(', ')} ms`,
    'share of 100 after its return': ofB,
    'last instance ejected': 0,
  }
}

async function neverTheLast(
  actor: EngineActor,
  port: number,
  instances: InstanceActor,
  both: readonly string[],
): Promise<void> {
  for (const instance of both) await instances.always(instance, '/reset')
  for (let index = 0; index < 50; index++) {
    const { status } = await ask(port, path)
    if (status !== 502) throw new Error(`all instances reset, and the client got ${status}`)
    const out = (await actor.state('pair'))?.instances.filter(({ isEjected }) => isEjected).length
    if (out === both.length) throw new Error('all instances are ejected')
  }
  for (const instance of both) await instances.always(instance, null)
  // One was never out, so the very next request is served.
  const { status } = await ask(port, path)
  if (status !== 200) throw new Error(`the instances are back, and the next request got ${status}`)
}
