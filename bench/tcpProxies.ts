import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Endpoint } from '../lab/client.ts'

/** A proxy under test: one process of one worker, round robin over two backends, default buffers, no access log. */
export interface Proxy {
  readonly name: string
  /** Why it cannot run here, or null. */
  missing(): string | null
  /** @param directory for its files */
  start(directory: string, listen: Endpoint, backends: readonly Endpoint[]): Promise<ChildProcess>
}

const host = ({ address, port }: Endpoint): string => `${address}:${port}`
const quiet: SpawnOptions = { stdio: ['ignore', 'ignore', 'inherit'] }
const absent = (program: string): string | null =>
  spawnSync(program, ['-v']).error === undefined ? null : `${program} is not installed: run "npm run lab"`

/** The daemon as a user runs it, with the userspace plane. */
const torb: Proxy = {
  name: 'torb',
  missing: () => null,
  async start(directory, listen, backends) {
    const launcher = fileURLToPath(new URL('../bin/torb', import.meta.url))
    const log = join(directory, 'log')
    const child = spawn(
      launcher,
      [...'serve -l 127.0.0.1:0 -i lo --plane userspace --data'.split(' '), join(directory, 'data')],
      { stdio: ['ignore', 'pipe', openSync(log, 'w')] },
    )
    if (child.stdout === null) throw new Error('standard output was asked for as a pipe')
    const first = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
    const line = String(first[0])
    const api = /^torb ready (\S+)/.exec(line)?.[1]
    if (api === undefined) throw new Error(`torb serve did not get ready: ${readFileSync(log, 'utf8')}`)
    const put = async (path: string, body: object): Promise<void> => {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(`${api}${path}`, { method: 'PUT', headers, body: JSON.stringify(body) })
      if (!response.ok) throw new Error(`PUT ${path}: ${response.status} ${await response.text()}`)
    }
    await put('/service/bench', { host: listen.address, port: listen.port, protocol: 'tcp', method: 'rr' })
    for (const [n, { address, port }] of backends.entries()) {
      await put(`/service/bench/${n}`, { host: address, port, pulse: { type: 'none' } })
    }
    return child
  },
}

const haproxy: Proxy = {
  name: 'haproxy',
  missing: () => absent('haproxy'),
  async start(directory, listen, backends) {
    const file = join(directory, 'haproxy.cfg')
    const servers = backends.map((backend, n) => `  server b${n} ${host(backend)}`)
    const lines = [
      'global',
      '  nbthread 1',
      '  maxconn 4096',
      'defaults',
      '  mode tcp',
      '  timeout connect 5s',
      '  timeout client 1m',
      '  timeout server 1m',
      'listen bench',
      `  bind ${host(listen)} backlog 4096`,
      '  balance roundrobin',
      ...servers,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    return spawn('haproxy', ['-db', '-q', '-f', file], quiet)
  },
}

const streamModule = '/usr/lib/nginx/modules/ngx_stream_module.so'

const nginx: Proxy = {
  name: 'nginx stream',
  missing: () =>
    absent('nginx') ?? (existsSync(streamModule) ? null : 'nginx has no stream module: run "npm run lab"'),
  async start(directory, listen, backends) {
    const file = join(directory, 'nginx.conf')
    const servers = backends.map((backend) => `server ${host(backend)};`).join(' ')
    const lines = [
      `load_module ${streamModule};`,
      'daemon off;',
      'master_process off;',
      `pid ${join(directory, 'nginx.pid')};`,
      'error_log stderr crit;',
      'events { worker_connections 8192; }',
      'stream {',
      `  upstream bench { ${servers} }`,
      `  server { listen ${host(listen)} backlog=4096; proxy_pass bench; }`,
      '}',
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    return spawn('nginx', ['-p', directory, '-e', 'stderr', '-c', file], quiet)
  },
}

export const proxies: readonly Proxy[] = [torb, haproxy, nginx]

/** Waits until somebody listens there. @throws Error when nobody does in time, or the process ended */
export async function listening({ address, port }: Endpoint, child: ChildProcess): Promise<void> {
  for (let turn = 0; turn < 100 && child.exitCode === null; turn++) {
    const socket = connect({ host: address, port })
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (connected) return
    await sleep(50)
  }
  throw new Error(`${child.spawnfile} does not listen on ${address}:${port}: its message is above`)
}
