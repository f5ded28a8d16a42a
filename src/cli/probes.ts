import { createServer, type Server } from 'node:http'
import type { Load } from './load.ts'

type Counts = Pick<Load, 'requests' | 'responses' | 'failed' | 'requestRate' | 'responseRate'>

/** The figures of a client of load over HTTP, for whoever scales by them: rates with six decimals, numbers whole. */
export function probeServer(counts: Counts): Server {
  const probes: Readonly<Record<string, () => string>> = {
    '/requestRate': () => counts.requestRate.toFixed(6),
    '/responseRate': () => counts.responseRate.toFixed(6),
    '/numRequests': () => String(counts.requests),
    '/numResponses': () => String(counts.responses),
    '/numFailed': () => String(counts.failed),
  }
  return createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    const probe = Object.hasOwn(probes, path) ? probes[path] : undefined
    response.writeHead(probe === undefined ? 404 : 200, { 'content-type': 'text/plain; charset=utf-8' })
    response.end(probe === undefined ? '404 page not found\n' : `${probe()}\n`)
  })
}
