import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Endpoint } from '../lab/client.ts'
import { listening } from './tcpProxies.ts'
import { freePort } from '../src/planes/freePort.ts'

/** Bodies that the instances of function `static` serve, by path. */
export const bodies: Readonly<Record<string, number>> = { small: 20, '10k': 10 * 1024, '1m': 1024 * 1024 }

/** Files from nginx on two addresses, which costs less than any proxy in front of it. */
export async function startStatic(
  directory: string,
  addresses: readonly string[],
  keep: (child: ChildProcess) => void,
): Promise<Endpoint[]> {
  const root = join(directory, 'root')
  mkdirSync(root, { recursive: true })
  for (const [name, bytes] of Object.entries(bodies)) writeFileSync(join(root, name), 'x'.repeat(bytes))
  const instances: Endpoint[] = []
  for (const address of addresses) instances.push({ address, port: await freePort(address) })
  const file = join(directory, 'nginx.conf')
  const lines = [
    'daemon off;',
    'master_process off;',
    `pid ${join(directory, 'nginx.pid')};`,
    'error_log stderr crit;',
    'events { worker_connections 8192; }',
    'http {',
    '  access_log off;',
    '  sendfile on;',
    '  tcp_nopush on;',
    '  open_file_cache max=10 inactive=1h;',
    '  keepalive_timeout 1h;',
    '  keepalive_requests 1000000000;',
    '  server {',
    ...instances.map(({ address, port }) => `    listen ${address}:${port} backlog=4096;`),
    `    root ${root};`,
    '  }',
    '}',
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const child = spawn('nginx', ['-p', directory, '-e', 'stderr', '-c', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  keep(child)
  for (const instance of instances) await listening(instance, child)
  return instances
}

/** Takes bodies to their end before it answers, which nginx does not do by itself; Content-Length only, no pipelining. */
function sinkBodies(socket: Socket): void {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  let head = ''
  let left = 0
  socket.on('error', () => socket.destroy())
  socket.on('data', (data: Buffer) => {
    let body = data.length
    if (left === 0) {
      head += data.toString('latin1')
      const end = head.indexOf('\r\n\r\n')
      if (end === -1) return
      left = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
      body = head.length - end - 4
      head = ''
    }
    left -= body
    if (left <= 0) socket.write(answer)
  })
}

async function sink(address: string): Promise<number> {
  const server = createServer({ noDelay: true }, sinkBodies)
  server.listen({ host: address, port: 0, backlog: 4096 })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

export const actor = { sink }
export type SinkActor = typeof actor
