import { actor as traffic } from '../../lab/actors/traffic.ts'
import type { Endpoint } from '../../lab/client.ts'
import { request } from '../rig.ts'

/** One who stands in a namespace: clients and servers (of SCTP too), and requests to the REST API from there. */
export const actor = {
  ...traffic,
  request: (url: string, method: string, body?: unknown) => request(url, method, body),
  // Not loaded by those who speak no SCTP.
  async serveSctp(name: string, at: Endpoint) {
    const { serveSctp } = await import('../../lab/sctp.ts')
    serveSctp(name, at)
  },
  async askSctp(from: string, to: Endpoint) {
    const { askSctp } = await import('../../lab/sctp.ts')
    return await askSctp(from, to)
  },
}
export type Member = typeof actor
