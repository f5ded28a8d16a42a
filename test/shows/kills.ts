import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { seeded, startDaemon, type RunningDaemon } from '../rig.ts'
import type { Show } from './show.ts'

/** What was acknowledged, and what was on its way when the process was killed. */
class Expected {
  /** Service → backend → weight. */
  readonly services = new Map<string, Map<string, number>>()
  inFlight: Wish | null = null
}

interface Wish {
  readonly method: 'PUT' | 'PATCH' | 'DELETE'
  readonly service: string
  readonly backend: string | null
  readonly weight: number
}

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
    const path = `/service/${wish.service}${wish.backend === null ? '' : `/${wish.backend}`}`
    const answer = await daemon.api(wish.method, path, bodyOf(wish)).catch(() => null)
    if (answer === null) return n
    if (answer.status !== 200)
      throw new Error(`${wish.method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    carryOut(expected, wish)
    expected.inFlight = null
  }
}

function nextWish({ services }: Expected, stream: number, random: () => number): Wish {
  const service = `s${stream * 10 + Math.floor(random() * 3)}`
  const backends = services.get(service)
  if (backends === undefined) return { method: 'PUT', service, backend: null, weight: 0 }
  if (random() < 0.05) return { method: 'DELETE', service, backend: null, weight: 0 }
  const backend = String(Math.floor(random() * 5))
  const weight = Math.floor(random() * 1000)
  if (!backends.has(backend)) return { method: 'PUT', service, backend, weight }
  return random() < 0.3
    ? { method: 'DELETE', service, backend, weight }
    : { method: 'PATCH', service, backend, weight }
}

function bodyOf({ method, service, backend, weight }: Wish): object | undefined {
  if (method === 'DELETE') return undefined
  if (backend === null) return { host: '127.0.0.1', port: portOf(service), method: 'rr' }
  if (method === 'PATCH') return { weight }
  return { host: `127.0.1.${Number(backend) + 1}`, port: 9, weight, pulse: { type: 'none' } }
}

function carryOut({ services }: Expected, { method, service, backend, weight }: Wish): void {
  if (backend === null) {
    if (method === 'DELETE') services.delete(service)
    else services.set(service, new Map())
  } else if (method === 'DELETE') services.get(service)?.delete(backend)
  else services.get(service)?.set(backend, weight)
}

/** What was acknowledged must be there; what was in flight may be there, whole. */
async function verify(daemon: RunningDaemon, streams: readonly Expected[], seed: number): Promise<void> {
  const ids = (await daemon.api('GET', '/service')).body as string[]
  const actual = new Map<string, Map<string, number>>()
  for (const id of ids) {
    const { backends } = (await daemon.api('GET', `/service/${id}`)).body as { backends: string[] }
    const weights = new Map<string, number>()
    for (const backend of backends) {
      const { options } = (await daemon.api('GET', `/service/${id}/${backend}`)).body as {
        options: { weight: number }
      }
      weights.set(backend, options.weight)
    }
    actual.set(id, weights)
  }
  for (const [stream, expected] of streams.entries()) {
    const mine = new Map([...actual].filter(([id]) => Math.floor(Number(id.slice(1)) / 10) === stream))
    if (text(mine) === text(expected.services)) {
      expected.inFlight = null
      continue
    }
    const wish = expected.inFlight
    const without = text(expected.services)
    if (wish !== null) carryOut(expected, wish)
    if (text(mine) !== text(expected.services)) {
      throw new Error(
        `seed ${seed}: after kill -9 found ${text(mine)}\nacknowledged ${without}\nin flight ${JSON.stringify(wish)}`,
      )
    }
    expected.inFlight = null
  }
}

const text = (services: ReadonlyMap<string, ReadonlyMap<string, number>>): string =>
  JSON.stringify(
    [...services]
      .map(([id, backends]) => [id, [...backends].sort()])
      .sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
  )
