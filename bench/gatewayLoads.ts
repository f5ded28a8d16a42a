import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Endpoint } from '../lab/client.ts'

const script = fileURLToPath(new URL('gateway.lua', import.meta.url))
const run = promisify(execFile)

/** What clients ask for, and how many of them on kept connections. */
export interface Load {
  readonly name: string
  readonly path: string
  readonly clients: number
  /** Bytes of the body that is posted. */
  readonly post?: number
  /** A connection for each request. */
  readonly close?: boolean
}

export const loads: readonly Load[] = [
  { name: 'small', path: '/function/static/small', clients: 64 },
  { name: 'small-512', path: '/function/static/small', clients: 512 },
  { name: '10k', path: '/function/static/10k', clients: 64 },
  { name: '1m', path: '/function/static/1m', clients: 16 },
  { name: 'post-64k', path: '/function/sink/', clients: 64, post: 65_536 },
  { name: 'connections', path: '/function/static/small', clients: 64, close: true },
]

export interface Outcome {
  readonly requests: number
  readonly seconds: number
  /** Refused, broken, timed out, or answered with a status of 400 or more. */
  readonly errors: number
  /** Latencies, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

/** Runs wrk, as one thread. */
export async function drive(load: Load, at: Endpoint, seconds: number): Promise<Outcome> {
  const closing = load.close === true ? ['-H', 'Connection: close'] : []
  const posted = load.post === undefined ? [] : ['--', String(load.post)]
  const url = `http://${at.address}:${at.port}${load.path}`
  const args = ['-t1', `-c${load.clients}`, `-d${seconds}s`, '-s', script, ...closing, url, ...posted]
  const { stdout } = await run('wrk', args)
  const report = stdout.trimEnd().split('\n').at(-1) ?? ''
  return JSON.parse(report) as Outcome
}

/** Clients that asked once and then keep their connections; they end when disposed of. */
export async function idleClients(at: Endpoint, path: string, count: number): Promise<Disposable> {
  const request = `GET ${path} HTTP/1.1\r\nHost: bench\r\n\r\n`
  const sockets: Socket[] = []
  while (sockets.length < count) {
    // In steps, so that no backlog overflows.
    const some = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
      connect({ host: at.address, port: at.port }),
    )
    sockets.push(...some)
    await Promise.all(
      some.map(async (socket) => {
        socket.write(request)
        const [first] = (await once(socket, 'data')) as [Buffer]
        if (!first.toString('latin1').startsWith('HTTP/1.1 200 ')) {
          throw new Error(`an idle client was answered ${first.toString('latin1')}`)
        }
      }),
    )
  }
  // What the proxy frees after an answer, it frees soon.
  await sleep(200)
  return {
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}
