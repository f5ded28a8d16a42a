import type { RunningDaemon } from '../rig.ts'

/** What was acknowledged, and what was on its way when the process was killed. */
export class Expected {
  /** Service → backend → weight. */
  readonly services = new Map<string, Map<string, number>>()
  inFlight: Wish | null = null
}

export interface Wish {
  readonly method: 'PUT' | 'PATCH' | 'DELETE'
  readonly service: string
  readonly backend: string | null
  readonly weight: number
}

/** A stream's next write: services `s<stream>0` to 2 come and go, with up to five backends whose weights change. */
export function nextWish({ services }: Expected, stream: number, random: () => number): Wish {
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

/** The path of its request. */
export const pathOf = ({ service, backend }: Wish): string =>
  `/service/${service}${backend === null ? '' : `/${backend}`}`

/** It was acknowledged. */
export function carryOut({ services }: Expected, { method, service, backend, weight }: Wish): void {
  if (backend === null) {
    if (method === 'DELETE') services.delete(service)
    else services.set(service, new Map())
  } else if (method === 'DELETE') services.get(service)?.delete(backend)
  else services.get(service)?.set(backend, weight)
}

/** What was acknowledged must be there; what was in flight may be there, whole. @throws Error with what is not so */
export async function verify(
  daemon: RunningDaemon,
  streams: readonly Expected[],
  seed: number,
): Promise<void> {
  const ids = (await daemon.api('GET', '/service')).body as string[]
  const actual = new Map<string, Map<string, number>>()
  for (const id of ids) {
    const { backends } = (await daemon.api('GET', `/service/${id}`)).body as { backends: string[] }
    const weights = new Map<string, number>()
    for (const backend of backends) {
      const { options } = (await daemon.api('GET', `/service/${id}/${backend}`)).body as {
        options: { max_weight: number }
      }
      weights.set(backend, options.max_weight)
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
