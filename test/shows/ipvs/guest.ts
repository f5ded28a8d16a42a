import { fileURLToPath } from 'node:url'
import { bootUml, type Uml } from '../../../lab/uml/uml.ts'
import type { actor } from './guest.actor.ts'

export type IpvsGuest = Uml<typeof actor>['guest']

/** Numbers of IPVS_CMD_* (include/uapi/linux/ip_vs.h) as a trace counts them. */
export const command = {
  addService: '1',
  setService: '2',
  deleteService: '3',
  addDestination: '5',
  setDestination: '6',
  deleteDestination: '7',
  flush: '17',
} as const

/** How many of these commands a trace has counted. */
export const counted = (
  trace: Readonly<Record<string, number>>,
  ...names: (keyof typeof command)[]
): number => names.reduce((sum, name) => sum + (trace[command[name]] ?? 0), 0)

/** Boots a kernel with IPVS, clients, director and backends in it; all of it ends with `work`. */
export async function inIpvsKernel<T>(work: (guest: IpvsGuest) => Promise<T>): Promise<T> {
  await using uml = await bootUml<typeof actor>({
    actor: fileURLToPath(new URL('guest.actor.ts', import.meta.url)),
    modules: ['veth', 'bridge', 'ip_vs', 'nlmon'],
    autoload: true,
    memoryMb: 1024,
    limitMs: 580_000,
  })
  await uml.guest.enter()
  return await work(uml.guest)
}

/** A request that must succeed. */
export async function done(guest: IpvsGuest, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await guest.api(method, path, body)
  if (answer.status === 200) return answer.body
  throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
}
