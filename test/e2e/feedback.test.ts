import { mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { Etcd, etcdMissing } from '../../lab/etcd.ts'
import { get, startInstance, type Instance } from '../../src/gateway/gatewaySuite.ts'
import { feedbackDefaults } from '../../src/sources/feedback/controller.ts'
import { startFeedback } from '../../src/sources/feedback/start.ts'
import { keyOf, routeByEtcd, valueOf, type RoutedChain } from '../etcdRig.ts'
import { until } from '../../lab/until.ts'
import { request, runTorb } from '../rig.ts'
import { freePort } from '../../src/planes/freePort.ts'

const missing = etcdMissing()
const settings = { intervalMs: 50, controller: feedbackDefaults, writes: false }
const log = { info: () => undefined, warn: () => undefined }

const delayed = (milliseconds: number): Promise<Instance> =>
  startInstance((request, response) => {
    request.resume()
    setTimeout(() => response.end('ok'), milliseconds)
  })

/** Asks four at a time until it is disposed. */
function traffic({ gateway }: RoutedChain): AsyncDisposable {
  const ended = new AbortController()
  const clients = Array.from({ length: 4 }, async () => {
    while (!ended.signal.aborted) expect((await gateway.get('/function/f')).status).toBe(200)
  })
  return {
    [Symbol.asyncDispose]: async () => {
      ended.abort()
      await Promise.all(clients)
    },
  }
}

const reason = missing === null ? '' : ` (skipped: ${missing})`

describe.skipIf(missing !== null)(`weights by feedback${reason}`, () => {
  it('lie over those of etcd, are events, end with what is written, and with feedback', async () => {
    await using etcd = await Etcd.start()
    await using fast = await delayed(0)
    await using slow = await delayed(20)
    await using chain = await routeByEtcd({ endpoints: etcd.urls })
    const put = (weights: readonly number[]): Promise<void> =>
      etcd.putAll([[keyOf('f'), valueOf([fast.text, slow.text], weights)]])
    await put([1, 1])
    await until(() => chain.table.function('f') !== null)
    await chain.table.published()
    await using clients = traffic(chain)
    const { table, eventLog: events } = chain
    const feedback = startFeedback(settings, {
      table,
      gateway: chain.gateway.gateway,
      events,
      log,
      etcd: chain.source,
    })
    const overlay = (): readonly number[] => table.function('f')?.overlay?.weights ?? [50, 50]
    await until(() => (overlay()[0] ?? 0) > 55)
    expect(table.function('f')?.spec.weights).toEqual([1, 1])
    // Beside the one that was measured the other one moves to balance it.
    const moved = chain.events.filter((event) => event.type === 'instance-weight-changed')
    expect(moved[0]).toMatchObject({ function: 'f', from: 50 })
    expect(moved.map(({ reason }) => reason)).toContainEqual(expect.stringMatching(/faster|slower/))

    await put([1, 3])
    await until(() => table.function('f')?.spec.weights.join() === '1,3')
    // Laid anew over what was written, with what was learned of the instances.
    await until(() => table.function('f')?.overlay !== null)
    await feedback.close()
    await table.published()
    expect(table.function('f')?.overlay).toBeNull()
    await clients[Symbol.asyncDispose]()
    const { instances = [] } = chain.gateway.gateway.state('f') ?? {}
    const before = instances.map(({ requests }) => requests)
    for (let n = 0; n < 40; n++) await chain.gateway.get('/function/f')
    const after = chain.gateway.gateway.state('f')?.instances ?? []
    expect(after.map(({ requests }, n) => requests - (before[n] ?? 0))).toEqual([10, 30])
    // Nothing of it was written.
    expect(await etcd.ctl('get', '--print-value-only', keyOf('f'))).toBe(
      valueOf([fast.text, slow.text], [1, 3]),
    )
  })

  it('are written to etcd with the configured ones beside them, for others to go by, until it ends', async () => {
    await using etcd = await Etcd.start()
    await using fast = await delayed(0)
    await using slow = await delayed(20)
    const value = valueOf([fast.text, slow.text], [2, 2])
    await etcd.putAll([[keyOf('f'), value]])
    await using chain = await routeByEtcd({ endpoints: etcd.urls })
    await using other = await routeByEtcd({ endpoints: etcd.urls })
    await until(() => chain.state() === 'current' && other.state() === 'current')
    await Promise.all([chain.table.published(), other.table.published()])
    await using clients = traffic(chain)
    const parts = { gateway: chain.gateway.gateway, events: chain.eventLog, log, etcd: chain.source }
    const feedback = startFeedback({ ...settings, writes: true }, { table: chain.table, ...parts })
    const weight = (): number => other.table.function('f')?.spec.weights[0] ?? 0
    await until(() => weight() > 55)
    const written = JSON.parse(await etcd.ctl('get', '--print-value-only', keyOf('f'))) as object
    expect(written).toMatchObject({ ips: [fast.text, slow.text], base_weights: [2, 2] })

    // Of an operator; what was on its way is not put over it.
    await etcd.putAll([[keyOf('f'), valueOf([fast.text, slow.text], [5, 1])]])
    await until(() => other.table.function('f')?.spec.base_weights?.join() === '5,1')
    await clients[Symbol.asyncDispose]()
    await feedback.close()
    await until(() => other.table.function('f')?.spec.base_weights === undefined)
    expect(other.functions()).toEqual(['f=5,1'])
    await sleep(2 * settings.intervalMs)
    expect(await etcd.ctl('get', '--print-value-only', keyOf('f'))).toBe(
      valueOf([fast.text, slow.text], [5, 1]),
    )
  })
})

describe('torb gateway --feedback', () => {
  it('moves the weights of a function, shows them, and tells it as an event', async () => {
    using data = mkdtempDisposableSync(join(tmpdir(), 'torb-feedback-'))
    await using fast = await delayed(0)
    await using slow = await delayed(20)
    const port = await freePort()
    const line = `gateway -l 127.0.0.1:0 --zone z --gateway 127.0.0.1:${port} --gateway-handler wrr --feedback --feedback-interval 1s --etcd`
    await using torb = await runTorb([...line.split(' '), '', '--data', data.path], /^torb ready /)
    const [api = ''] = /http:\S+/.exec(torb.lines.join()) ?? []
    const put = { ips: [fast.text, slow.text], weights: [1, 1] }
    expect((await request(`${api}/functions/f`, 'PUT', put)).status).toBe(200)
    type Shown = { readonly feedback: boolean; readonly instances: readonly { readonly weight: number }[] }
    const shown = async (): Promise<Shown> => (await request(`${api}/functions/f`)).body as Shown
    expect(await shown()).toMatchObject({ feedback: false, instances: [{ weight: 1 }, { weight: 1 }] })
    await until(async () => {
      for (let n = 0; n < 10; n++) await get(port, '/function/f')
      return (await shown()).feedback
    })
    const [first, second] = (await shown()).instances
    expect(first?.weight).toBeGreaterThan(second?.weight ?? 100)
    expect(torb.errors()).toMatch(
      /"function":"f","instance":"127.0.0.1:\d+","from":50,"to":55.*"instance-weight-changed"/,
    )
  })
})
