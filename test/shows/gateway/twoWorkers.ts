import { ringMissing } from '../../../src/kernel/uring/probe.ts'
import { quantile } from '../../rig.ts'
import type { Figures, Show } from '../show.ts'
import { ask } from './client.ts'
import { startGateway, startInstances, startPaced, type RunningGateway, type Started } from './processes.ts'
import type { PacedActor } from './paced.actor.ts'

const noRing = await ringMissing()
const weights = [3, 1]
const path = '/function/f/name'
/** So that the load is far below what either can do. */
const rate = 12_000
const rounds = 5

/** Two Workers on one socket: the order of the contract over all of them, connections shared, at no more CPU than one. */
export const gatewayTwoWorkers: Show = {
  about:
    'function gateway with two Workers: 3:1 in exact order over 400 new connections, each has 35–65 % of 1,000 connections',
  missing: () => (noRing === null ? null : `Workers share a socket on io_uring only: ${noRing}`),
  async run(size) {
    const [instances, two] = await Promise.all([
      startInstances(),
      startGateway({ transport: 'ring', workers: 2 }),
    ])
    await using _instances = instances
    await using _two = two
    const ips = [await instances.actor.http('A', '127.0.0.1'), await instances.actor.http('B', '127.0.0.1')]
    await two.actor.put('f', { ips, weights })

    let order = ''
    for (let index = 0; index < 400; index++) order += (await ask(two.port, path)).body.toString()
    if (order !== 'AAAB'.repeat(100)) throw new Error(`400 new connections went in the order ${order}`)

    const shares: Record<string, string> = {}
    for (const atATime of size === 'full' ? [1, 32, 1000] : [32]) {
      const share = await shareOf(two, atATime)
      // All at once are taken by whichever Worker the kernel gives a processor to.
      if (atATime < 1000 && share.some((part) => part < 0.35 || part > 0.65))
        throw new Error(`1,000 connections, ${atATime} at a time: the Workers had ${percent(share)} of them`)
      shares[`1,000 connections, ${atATime} at a time`] = percent(share)
    }
    const cpu = size === 'full' ? await cpuOfBoth(two, ips) : {}
    return { 'order over 400 new connections': 'AAAB, exact', ...shares, ...cpu }
  },
}

/** How 1,000 connections were shared out between the Workers, of which so many are there at a time. */
async function shareOf({ actor, port }: RunningGateway, atATime: number): Promise<readonly number[]> {
  const requests = async (): Promise<number[]> => (await actor.counters()).map((worker) => worker.requests)
  const before = await requests()
  let ofA = 0
  for (let count = 0; count < 1000; count += atATime) {
    const some = Array.from({ length: Math.min(atATime, 1000 - count) }, () => ask(port, path))
    for (const { status, cut, body } of await Promise.all(some)) {
      if (status !== 200) throw new Error(`a request failed: ${status} ${cut}`)
      if (body.toString() === 'A') ofA++
    }
  }
  // Nobody can tell the order of answers to requests at the same time, but the counts are as exact.
  if (ofA !== 750) throw new Error(`${ofA} of 1,000 requests went to A instead of 750`)
  return (await requests()).map((count, worker) => (count - (before[worker] ?? 0)) / 1000)
}

/** One and two Workers at the same rate, in turn. */
async function cpuOfBoth(two: RunningGateway, ips: readonly string[]): Promise<Figures> {
  await using one = await startGateway({ transport: 'ring', workers: 1 })
  await one.actor.put('f', { ips, weights })
  await using paced = await startPaced()
  const ofOne: number[] = []
  const ofTwo: number[] = []
  for (let round = 0; round < rounds; round++) {
    ofOne.push(await cpuMicros(one, paced))
    ofTwo.push(await cpuMicros(two, paced))
  }
  const [cpuOne, cpuTwo] = [quantile(ofOne, 0.5), quantile(ofTwo, 0.5)]
  return {
    'requests per second, over 64 connections': rate,
    'CPU per request, one Worker': `${cpuOne.toFixed(1)} µs`,
    'CPU per request, two Workers': `${cpuTwo.toFixed(1)} µs`,
    'two to one': (cpuTwo / cpuOne).toFixed(2),
  }
}

async function cpuMicros(gateway: RunningGateway, { actor }: Started<PacedActor>): Promise<number> {
  const before = gateway.cpuSeconds()
  const load = { rate, milliseconds: 5000, connections: 64 }
  const { answered, failures } = await actor.run(gateway.port, path, load)
  if (Object.keys(failures).length > 0) throw new Error(`requests failed: ${JSON.stringify(failures)}`)
  return ((gateway.cpuSeconds() - before) / answered) * 1e6
}

const percent = (shares: readonly number[]): string =>
  shares.map((part) => `${Math.round(part * 100)} %`).join(', ')
