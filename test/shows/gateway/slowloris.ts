import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../../rig.ts'
import type { Figures, Show } from '../show.ts'
import type { PacedActor, PacedReport } from './paced.actor.ts'
import {
  overTransports,
  startGateway,
  startInstances,
  startPaced,
  startSlow,
  type RunningGateway,
  type Started,
} from './processes.ts'

const path = '/function/f/name'
/** A client that sends its head costs at most this, the kernel's buffers aside. */
const mostBytesPerClient = { ring: 16 * 1024, portable: 32 * 1024 } as const

interface Size {
  readonly slow: number
  readonly everyMs: number
  readonly headMs: number
  readonly load: Parameters<PacedActor['run']>[2]
}

const sizes: Readonly<Record<'full' | 'reduced', Size>> = {
  full: {
    slow: 10_000,
    everyMs: 2000,
    headMs: 10_000,
    load: { rate: 500, milliseconds: 10_000, connections: 16 },
  },
  reduced: {
    slow: 200,
    everyMs: 100,
    headMs: 400,
    load: { rate: 200, milliseconds: 300, connections: 4 },
  },
}

/** Clients that never finish their heads: they cost little, end with 408, and nobody else notices. */
export const gatewaySlowloris: Show = {
  about:
    'function gateway: 10,000 clients that send their heads byte by byte cost bounded memory, get 408, and others are served',
  run: (size) => overTransports(size, (transport) => besieged(transport, sizes[size])),
}

async function besieged(
  transport: 'ring' | 'portable',
  { slow, everyMs, headMs, load }: Size,
): Promise<Figures> {
  const [instances, gateway, paced, attackers] = await Promise.all([
    startInstances(),
    startGateway({ transport, workers: 0, proxy: { headMs } }),
    startPaced(),
    startSlow(),
  ])
  await using _instances = instances
  await using _gateway = gateway
  await using _paced = paced
  await using _attackers = attackers
  await gateway.actor.put('f', { ips: [await instances.actor.http('A', '127.0.0.1')], weights: [1] })

  const before = await served(gateway, paced, load)
  const [resident, descriptors] = [gateway.residentBytes(), gateway.descriptors()]
  await attackers.actor.begin(gateway.port, slow, everyMs)
  for (let i = 0; (await attackers.actor.report()).open < slow * 0.95; i++) {
    if (i > 600)
      throw new Error(`not all slow clients got in: ${JSON.stringify(await attackers.actor.report())}`)
    await sleep(100)
  }
  const bytes = (gateway.residentBytes() - resident) / slow
  const during = await served(gateway, paced, load)
  // All of the first ones have had their time.
  for (let i = 0; (await attackers.actor.report()).timedOut < slow; i++) {
    if (i > 600) throw new Error(`slow clients stay: ${JSON.stringify(await attackers.actor.report())}`)
    await sleep(100)
  }
  const later = (gateway.residentBytes() - resident) / slow
  const { timedOut, others } = await attackers.actor.end()
  if (Object.keys(others).length > 0)
    throw new Error(`slow clients ended otherwise than by 408: ${JSON.stringify(others)}`)
  for (const figure of [bytes, later]) {
    if (slow >= 1000 && figure > mostBytesPerClient[transport])
      throw new Error(
        `a slow client costs ${figure.toFixed(0)} bytes, above ${mostBytesPerClient[transport]}`,
      )
  }
  await gone(gateway, descriptors)
  return {
    'slow clients at a time': slow,
    'memory of each, at once / after all came again': `${bytes.toFixed(0)} / ${later.toFixed(0)} bytes`,
    'ended with 408': timedOut,
    'others, p50 / p99 before': shown(before),
    'others, p50 / p99 during': shown(during),
    'requests of others, failed': 0,
  }
}

async function served(
  { port }: RunningGateway,
  { actor }: Started<PacedActor>,
  load: Size['load'],
): Promise<PacedReport> {
  const report = await actor.run(port, path, load)
  if (Object.keys(report.failures).length > 0)
    throw new Error(`requests of others failed: ${JSON.stringify(report.failures)}`)
  return report
}

/** Waits until the slow clients' descriptors are closed. */
async function gone({ descriptors, actor }: RunningGateway, before: number): Promise<void> {
  for (let i = 0; descriptors() > before; i++) {
    if (i > 1000)
      throw new Error(
        `${descriptors()} descriptors instead of ${before}: ${JSON.stringify(await actor.counters())}`,
      )
    await sleep(10)
  }
}

const shown = ({ took }: PacedReport): string =>
  `${quantile(took, 0.5).toFixed(2)} / ${quantile(took, 0.99).toFixed(2)} ms`
