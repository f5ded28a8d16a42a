import { ringMissing } from '../../../src/kernel/uring/probe.ts'
import { quantile } from '../../rig.ts'
import type { Show } from '../show.ts'
import { ask } from './client.ts'
import { startGateway, startInstances, startPaced, type RunningGateway, type Started } from './processes.ts'
import type { PacedActor } from './paced.actor.ts'

const noRing = await ringMissing()
const spec = (ips: readonly string[]) => ({ ips, weights: [3, 1] })
/** So that the load is far below what either can do. */
const rate = 2000

/** Two Workers on one socket: the order of the contract over all of them, connections shared, at no more CPU than one. */
export const gatewayTwoWorkers: Show = {
  about:
    'function gateway with two Workers: 3:1 in exact order over 400 new connections, each has 35–65 % of 1,000 connections',
  missing: () => (noRing === null ? null : `Workers share a socket on io_uring only: ${noRing}`),
  async run(size) {
    const [rounds, milliseconds] = size === 'full' ? [5, 5000] : [1, 300]
    await using instances = await startInstances()
    const ips = [await instances.actor.http('A', '127.0.0.1'), await instances.actor.http('B', '127.0.0.1')]
    await using one = await startGateway({ transport: 'ring', workers: 1 })
    await using two = await startGateway({ transport: 'ring', workers: 2 })
    for (const gateway of [one, two]) await gateway.actor.put('f', spec(ips))

    await inOrder(two)
    const shares: Record<string, string> = {}
    for (const atATime of size === 'full' ? [1, 32, 1000] : [32]) {
      const share = await shareOf(two, atATime)
      // All at once are taken by whichever Worker the kernel gives a processor to.
      if (atATime < 1000 && share.some((part) => part < 0.35 || part > 0.65))
        throw new Error(`1,000 connections, ${atATime} at a time: the Workers had ${percent(share)} of them`)
      shares[`share of each Worker, ${atATime} at a time`] = percent(share)
    }

    await using paced = await startPaced()
    const ofOne: number[] = []
    const ofTwo: number[] = []
    for (let round = 0; round < rounds; round++) {
      ofOne.push(await cpuMicros(one, paced, milliseconds))
      ofTwo.push(await cpuMicros(two, paced, milliseconds))
    }
    const [cpuOne, cpuTwo] = [quantile(ofOne, 0.5), quantile(ofTwo, 0.5)]
    return {
      'order over 400 new connections': 'AAAB, exact',
      ...shares,
      'requests per second, over 64 connections': rate,
      'CPU per request, one Worker': `${cpuOne.toFixed(1)} µs`,
      'CPU per request, two Workers': `${cpuTwo.toFixed(1)} µs`,
      'two to one': (cpuTwo / cpuOne).toFixed(2),
    }
  },
}

async function inOrder({ port }: RunningGateway): Promise<void> {
  let order = ''
  for (let index = 0; index < 400; index++) order += (await ask(port, '/function/f/name')).body.toString()
  if (order !== 'AAAB'.repeat(100)) throw new Error(`400 new connections went in the order ${order}`)
  // At once nobody can tell the order of answers, but the counts are as exact.
  const answers = await Promise.all(Array.from({ length: 400 }, () => ask(port, '/function/f/name')))
  const ofA = answers.filter(({ body }) => body.toString() === 'A').length
  if (ofA !== 300) throw new Error(`400 connections at once: ${ofA} went to A instead of 300`)
}

/** How 1,000 connections were shared out, of which so many are there at a time. */
async function shareOf({ actor, port }: RunningGateway, atATime: number): Promise<readonly number[]> {
  const requests = async (): Promise<number[]> => (await actor.counters()).map((worker) => worker.requests)
  const before = await requests()
  for (let count = 0; count < 1000; count += atATime) {
    const some = Array.from({ length: Math.min(atATime, 1000 - count) }, () => ask(port, '/function/f/name'))
    const failed = (await Promise.all(some)).find(({ status }) => status !== 200)
    if (failed !== undefined) throw new Error(`a request failed: ${failed.status} ${failed.cut}`)
  }
  return (await requests()).map((count, worker) => (count - (before[worker] ?? 0)) / 1000)
}

const percent = (shares: readonly number[]): string =>
  shares.map((part) => `${Math.round(part * 100)} %`).join(', ')

async function cpuMicros(
  gateway: RunningGateway,
  { actor }: Started<PacedActor>,
  milliseconds: number,
): Promise<number> {
  const before = gateway.cpuSeconds()
  const { answered, failures } = await actor.run(gateway.port, '/function/f/name', {
    rate,
    milliseconds,
    connections: 64,
  })
  if (failures > 0) throw new Error(`${failures} of ${answered + failures} paced requests failed`)
  return ((gateway.cpuSeconds() - before) / answered) * 1e6
}
