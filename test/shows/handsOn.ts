import { setTimeout as sleep } from 'node:timers/promises'
import { request, runTorb, startDaemon } from '../rig.ts'
import type { Show } from './show.ts'
import { freePort } from '../../src/planes/freePort.ts'

interface Backend {
  readonly options: { readonly weight: number }
  readonly metrics: { readonly status: number; readonly health: number; readonly uptime: number }
}

/** Seed 001 by its own lines: two servers, one service, twelve requests, one server stopped and brought back. */
export const handsOn: Show = {
  about:
    "the tutorial's own curl lines: 6/6 of 12, a stopped server out within its interval, back by the formula",
  async run(size) {
    const port = await freePort()
    const workMs = size === 'full' ? 500 : 20
    const serve = (host: string) =>
      runTorb(['server', '--host', host, '--port', String(port), '--work', `${workMs}ms`], /./)
    await using daemon = await startDaemon({ args: ['-f'] })
    let server1 = await serve('127.0.0.2')
    await using server2 = await serve('127.0.0.3')
    try {
      const put = async (path: string, body: object): Promise<void> => {
        const answer = await daemon.api('PUT', path, body)
        if (answer.status !== 200)
          throw new Error(`PUT ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
      }
      await put('/service/0', { host: '127.0.0.1', port, protocol: 'tcp', method: 'rr', persistent: true })
      await put('/service/0/0', {
        host: '127.0.0.2',
        port,
        method: 'nat',
        weight: 100,
        pulse: { type: 'tcp', interval: '1s' },
      })
      await put('/service/0/1', {
        host: '127.0.0.3',
        port,
        method: 'nat',
        weight: 100,
        pulse: { type: 'tcp', interval: '1s' },
      })
      const work = () => request(`http://127.0.0.1:${port}/doWork`, 'GET', undefined, false)
      for (let i = 0; i < 12; i++) {
        const { status, body } = await work()
        if (status !== 200 || body !== `Response sent after ${workMs} ms\n`)
          throw new Error(`/doWork: ${status} ${String(body)}`)
      }
      const share = (server: { readonly lines: readonly string[] }) =>
        server.lines.filter((line) => /sent|answered/i.test(line)).length
      await waitFor('twelve lines of the servers', () =>
        Promise.resolve(share(server1) + share(server2) >= 12),
      )
      const [first, second] = [share(server1), share(server2)]
      if (first !== 6 || second !== 6) throw new Error(`12 requests went ${first}/${second}, expected 6/6`)

      const backend = async (): Promise<Backend> => (await daemon.api('GET', '/service/0/0')).body as Backend
      await waitFor('its first check', async () => (await backend()).metrics.health > 0)
      await server1.end('SIGKILL')
      const killed = performance.now()
      let out = 0
      await waitFor('weight 0', async () => (await backend()).options.weight === 0, 5)
      out = performance.now() - killed
      for (let i = 0; i < 6; i++)
        if ((await work()).status !== 200) throw new Error('a request failed after the server was out')

      server1 = await serve('127.0.0.2')
      const seen: { weight: number; health: number }[] = []
      await waitFor('recovery under way', async () => {
        const { options, metrics } = await backend()
        if (metrics.status === 0 && seen.at(-1)?.weight !== options.weight)
          seen.push({ weight: options.weight, health: metrics.health })
        return seen.length >= (size === 'full' ? 8 : 2)
      })
      for (const { weight, health } of seen) {
        if (weight !== Math.max(1, Math.trunc(100 * health)))
          throw new Error(`weight ${weight} at health ${health}: not GORB's formula`)
      }
      return {
        'requests to server1 / server2': `${first} / ${second}`,
        'server1 out after its end (interval 1 s)': `${out.toFixed(0)} ms`,
        'weights while it came back': seen.map(({ weight }) => weight).join(', '),
      }
    } finally {
      await server1.end()
    }
  },
}

async function waitFor(what: string, done: () => Promise<boolean>, everyMs = 20): Promise<void> {
  for (const end = performance.now() + 30_000; performance.now() < end; await sleep(everyMs))
    if (await done()) return
  throw new Error(`waited 30 s for ${what}`)
}
