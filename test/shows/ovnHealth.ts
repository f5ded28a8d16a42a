import { setTimeout as sleep } from 'node:timers/promises'
import { articleAddress, articlePort, servers, startArticle, type Article } from '../../lab/ovn/article.ts'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import { startTorb } from '../e2e/ovnArticle.ts'
import type { RunningDaemon } from '../rig.ts'
import type { Show } from './show.ts'
import { until } from '../../lab/until.ts'

interface Trial {
  /** Milliseconds from the server's end until Torb tells it is Down, and until the last connection that failed. */
  readonly told: number
  readonly spared: number
  /** From its return until it is Up, and the weights in force from then on. */
  readonly back: number
  readonly weights: readonly number[]
}

/** So many connections a second: Open vSwitch 3.1 does not survive clients whose ports come again at once. */
const clientEveryMs = 50

/** What clients meet when a server ends and comes back, with OVN's monitors and Torb's weights. */
export const ovnHealth: Show = {
  about:
    'a stopped server under OVN: when Torb tells, when clients are spared, and its weight on the way back',
  missing: ovnMissing,
  async run(size) {
    using article = await startArticle({ chassis: 1 })
    await using torb = await startTorb(article)
    const figures: Record<string, string> = {}
    const plans = [
      ['tcp', 1],
      ['tcp', 2],
      ['udp', 1],
    ] as const
    for (const [protocol, seconds] of size === 'full' ? plans : plans.slice(0, 1)) {
      await serve(torb, protocol, seconds)
      const trials: Trial[] = []
      for (let i = 0; i < (size === 'full' ? 10 : 1); i++) {
        await shows(torb, ({ status, health }) => status === 0 && health > 0)
        await sleep(Math.random() * seconds * 1000)
        trials.push(await stop(article, torb, protocol, size === 'full' && i === 0 ? 10 : 1))
      }
      const name = `${protocol}, interval ${seconds} s`
      figures[`${name}: Down is told after, p50 / max`] = spread(trials.map(({ told }) => told))
      figures[`${name}: last failed connection after, p50 / max`] = spread(trials.map(({ spared }) => spared))
      figures[`${name}: Up again after, p50 / max`] = spread(trials.map(({ back }) => back))
      figures[`${name}: weights of 100 from then on, each second`] = trials[0]?.weights.join(' ') ?? ''
      await torb.must('DELETE', '/service/web')
    }
    return figures
  },
}

async function serve(torb: RunningDaemon, protocol: 'tcp' | 'udp', seconds: number): Promise<void> {
  const attach = { switches: ['inside'] }
  await torb.must('PUT', '/service/web', {
    host: articleAddress.switchVip,
    port: articlePort,
    protocol,
    attach,
  })
  const pulse = { type: protocol, interval: `${seconds}s`, timeout: '1s', fast_interval: '1s' }
  for (const name of servers)
    await torb.must('PUT', `/service/web/${name}`, { host: articleAddress[name], port: articlePort, pulse })
}

async function stop(
  article: Article,
  torb: RunningDaemon,
  protocol: 'tcp' | 'udp',
  weights: number,
): Promise<Trial> {
  const client = await article.hosts.vm3.traffic()
  await article.stopServer('vm2')
  const stopped = performance.now()
  let failed = stopped
  const over = new AbortController()
  const asked = (async () => {
    while (!over.signal.aborted) {
      const { failures } = await client.exchange({
        protocol,
        from: [articleAddress.vm3],
        to: { address: articleAddress.switchVip, port: articlePort },
        count: 1,
        patienceMs: 200,
      })
      if (failures.length > 0) failed = performance.now()
      await sleep(clientEveryMs)
    }
  })()
  await shows(torb, ({ status }) => status === 1)
  const told = performance.now() - stopped
  await sleep(500)
  over.abort()
  await asked
  await article.startServer('vm2')
  const started = performance.now()
  await shows(torb, ({ status }) => status === 0)
  const back = performance.now() - started
  const seen: number[] = []
  for (let i = 0; i < weights; i++) {
    if (i > 0) await sleep(1000)
    seen.push((await shown(torb)).weight)
  }
  return { told, spared: failed - stopped, back, weights: seen }
}

interface Shown {
  readonly status: number
  readonly health: number
  readonly weight: number
}

async function shown(torb: RunningDaemon): Promise<Shown> {
  const { metrics, options } = (await torb.must('GET', '/service/web/vm2')) as {
    readonly metrics: Omit<Shown, 'weight'>
    readonly options: Pick<Shown, 'weight'>
  }
  return { ...metrics, ...options }
}

async function shows(torb: RunningDaemon, suits: (backend: Shown) => boolean): Promise<void> {
  await until(async () => suits(await shown(torb)))
}

function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (share: number): string =>
    ((sorted[Math.floor(share * (sorted.length - 1))] ?? 0) / 1000).toFixed(2)
  return `${at(0.5)} / ${at(1)} s`
}
