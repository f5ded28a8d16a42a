import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { seeded, startDaemon, type RunningDaemon } from '../rig.ts'
import type { Show } from './show.ts'
import { carryOut, Expected, nextWish, pathOf, verify, type Wish } from './wishes.ts'

/** kill -9 at random moments during a stream of writes: what was acknowledged is there, nothing is half there. */
export const kills: Show = {
  about:
    'kill -9 during PUT, PATCH and DELETE: every acknowledged write present after restart, none half-present',
  async run(size) {
    const count = size === 'full' ? 300 : 5
    const seed = Number(process.env['TORB_SEED'] ?? Date.now() % 1e9)
    const random = seeded(seed)
    const data = await mkdtemp(join(tmpdir(), 'torb-kills-'))
    const streams = Array.from({ length: 4 }, () => new Expected())
    let acknowledged = 0
    try {
      for (let round = 0; round < count; round++) {
        await using daemon = await startDaemon({ data })
        await verify(daemon, streams, seed)
        const killed = sleep(random() * 250).then(() => daemon.end('SIGKILL'))
        const done = await Promise.all(
          streams.map((expected, i) => writeUntilKilled(daemon, expected, i, random)),
        )
        acknowledged += done.reduce((sum, n) => sum + n, 0)
        await killed
      }
      await using daemon = await startDaemon({ data })
      await verify(daemon, streams, seed)
    } finally {
      await rm(data, { recursive: true, force: true })
    }
    if (acknowledged < count)
      throw new Error(`only ${acknowledged} writes were acknowledged: the show shows nothing`)
    return {
      kills: count,
      'writes acknowledged': acknowledged,
      'writes lost': 0,
      'writes half-present': 0,
      seed,
    }
  },
}

/** Port of a service no other has; backends are told apart by address. */
const portOf = (service: string): number => 20_000 + Number(service.slice(1))

async function writeUntilKilled(
  daemon: RunningDaemon,
  expected: Expected,
  stream: number,
  random: () => number,
): Promise<number> {
  for (let n = 0; ; n++) {
    const wish = nextWish(expected, stream, random)
    expected.inFlight = wish
    const path = pathOf(wish)
    const answer = await daemon.api(wish.method, path, bodyOf(wish)).catch(() => null)
    if (answer === null) return n
    if (answer.status !== 200)
      throw new Error(`${wish.method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    carryOut(expected, wish)
    expected.inFlight = null
  }
}

function bodyOf({ method, service, backend, weight }: Wish): object | undefined {
  if (method === 'DELETE') return undefined
  if (backend === null) return { host: '127.0.0.1', port: portOf(service), method: 'rr' }
  if (method === 'PATCH') return { weight }
  return { host: `127.0.1.${Number(backend) + 1}`, port: 9, weight, pulse: { type: 'none' } }
}
