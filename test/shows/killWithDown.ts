import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startDaemon } from '../rig.ts'
import { converse, LineServer } from './lineServers.ts'
import type { Show } from './show.ts'
import { freePort } from '../../src/planes/freePort.ts'

/** A backend that was Down before a kill -9 is still out after the restart: nobody is sent there to find out. */
export const killWithDown: Show = {
  about:
    'kill -9 with one backend Down: zero failed requests after restart, and none reaches it before it is Up',
  async run(size) {
    const rounds = size === 'full' ? 20 : 2
    const [vip, port] = [await freePort(), await freePort()]
    const data = await mkdtemp(join(tmpdir(), 'torb-down-'))
    const healthy = await LineServer.listen('healthy', '127.0.3.1', port)
    const trap = await LineServer.listen('trap', '127.0.3.2', port)
    let requests = 0
    let first = 0
    try {
      {
        await using daemon = await startDaemon({ data })
        const put = (path: string, body: object) => daemon.api('PUT', path, body)
        await put('/service/s', { host: '127.0.0.1', port: vip, method: 'rr' })
        await put('/service/s/healthy', { host: '127.0.3.1', port, pulse: { interval: '1s' } })
        // Takes connections, so that nobody is sent elsewhere, but fails its check: only stored health keeps clients away.
        await put('/service/s/down', { host: '127.0.3.2', port, pulse: { type: 'http', interval: '1s' } })
        await down(daemon)
        // Health is stored behind its effect, but before whatever is acknowledged later.
        await daemon.api('PATCH', '/service/s/healthy', { weight: 100 })
        await daemon.end('SIGKILL')
      }
      {
        for (let round = 0; round < rounds; round++) {
          await using daemon = await startDaemon({ data })
          const { body } = await daemon.api('GET', '/service/s/down')
          const { status, weight } = read(body)
          if (round === 0) first = weight
          if (round === 0 && (status !== 1 || weight !== 0))
            throw new Error(`after restart status ${status}, weight ${weight}`)
          for (let i = 0; i < 20; i++, requests++) {
            const name = await converse('127.0.0.1', vip, 3)
            if (name !== 'healthy') throw new Error(`restart ${round}: connection ${i} went to ${name}`)
          }
          await daemon.end('SIGKILL')
        }
      }
    } finally {
      await healthy.close()
      await trap.close()
      await rm(data, { recursive: true, force: true })
    }
    return {
      restarts: rounds,
      'connections after restarts': requests,
      failed: 0,
      'weight of the Down backend after the first': first,
    }
  },
}

type Api = (method: string, path: string) => Promise<{ body: unknown }>

async function down({ api }: { readonly api: Api }): Promise<void> {
  for (let i = 0; i < 500; i++, await sleep(20)) {
    const now = read((await api('GET', '/service/s/down')).body)
    if (now.status === 1 && now.weight === 0) return
  }
  throw new Error('the backend without a server is not Down after 10 s')
}

function read(body: unknown): { status: number; weight: number } {
  const { options, metrics } = body as { options: { weight: number }; metrics: { status: number } }
  return { status: metrics.status, weight: options.weight }
}
