import { execFileSync, spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Endpoint } from '../lab/client.ts'
import { ringMissing } from '../src/kernel/uring/probe.ts'

/** A function as edgerun's load balancer knows it: `/function/NAME/REST` goes as `/REST` to its instances by weight. */
export interface BenchFunction {
  readonly name: string
  readonly instances: readonly (Endpoint & { readonly weight: number })[]
}

/** An HTTP proxy under test, as one process of one worker where that can be set; connections to instances are kept. */
export interface GatewayProxy {
  readonly name: string
  /** Why it cannot run here, or null. */
  missing(): string | null
  /** @param directory for its files */
  start(directory: string, listen: Endpoint, functions: readonly BenchFunction[]): Promise<ChildProcess>
}

const host = ({ address, port }: Endpoint): string => `${address}:${port}`
const quiet: SpawnOptions = { stdio: ['ignore', 'ignore', 'inherit'] }
/** For those that write a line for every client that leaves. */
const logged = (directory: string): SpawnOptions => ({
  stdio: ['ignore', 'ignore', openSync(join(directory, 'log'), 'w')],
})
const absent = (program: string, argument = '-v'): string | null =>
  spawnSync(program, [argument]).error === undefined ? null : `${program} is not installed: run "npm run lab"`

function configuration(directory: string, lines: readonly string[]): string {
  const file = join(directory, 'configuration')
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

/** `torb gateway` with its defaults; functions by REST. */
const torb: GatewayProxy = {
  name: 'torb',
  missing: () =>
    existsSync(new URL('../src/cli/gateway.ts', import.meta.url)) ? null : 'it has no gateway yet',
  async start(directory, listen, functions) {
    const launcher = fileURLToPath(new URL('../bin/torb', import.meta.url))
    const log = join(directory, 'log')
    const child = spawn(launcher, ['gateway', '-l', '127.0.0.1:0', '--data', join(directory, 'data')], {
      stdio: ['ignore', 'pipe', openSync(log, 'w')],
      env: {
        ...process.env,
        eb_go_lb_zone: 'bench',
        eb_go_lb_handler_type: 'wrr',
        eb_go_lb_etcd_host: '',
        eb_go_lb_listen_port: String(listen.port),
      },
    })
    if (child.stdout === null) throw new Error('standard output was asked for as a pipe')
    const [first] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown]
    const api = /^torb ready (\S+)/.exec(String(first))?.[1]
    if (api === undefined) throw new Error(`torb gateway did not get ready: ${readFileSync(log, 'utf8')}`)
    for (const { name, instances } of functions) {
      const response = await fetch(`${api}/functions/${name}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ips: instances.map(host), weights: instances.map(({ weight }) => weight) }),
      })
      if (!response.ok) throw new Error(`PUT /functions/${name}: ${response.status} ${await response.text()}`)
    }
    return child
  },
}

const noRing = await ringMissing()

/** The gateway as one Worker on one transport, without the daemon around it; with its access log. */
const engine = (transport: 'ring' | 'portable'): GatewayProxy => ({
  name: transport,
  missing: () => (transport === 'ring' ? noRing : null),
  start: async (directory, listen, functions) => {
    const program = fileURLToPath(new URL('gatewayEngine.ts', import.meta.url))
    const log = join(directory, 'access.log')
    const args = [
      `--transport=${transport}`,
      `--port=${listen.port}`,
      `--log=${log}`,
      JSON.stringify(functions),
    ]
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
    return child
  },
})

/** With what Torb's gateway has on too: time-outs, a status page, a buffered access log. */
const nginx: GatewayProxy = {
  name: 'nginx',
  missing: () => absent('nginx'),
  start: async (directory, listen, functions) => {
    const upstreams = functions.flatMap(({ name, instances }) => [
      `  upstream ${name} {`,
      ...instances.map((instance) => `    server ${host(instance)} weight=${instance.weight};`),
      '    keepalive 512;',
      '    keepalive_requests 1000000000;',
      '  }',
    ])
    const locations = functions.map(
      ({ name }) => `    location /function/${name}/ { proxy_pass http://${name}/; }`,
    )
    const file = configuration(directory, [
      'daemon off;',
      'master_process off;',
      `pid ${join(directory, 'nginx.pid')};`,
      'error_log stderr crit;',
      'events { worker_connections 8192; }',
      'http {',
      `  access_log ${join(directory, 'access.log')} combined buffer=64k flush=1s;`,
      '  keepalive_timeout 75s;',
      '  keepalive_requests 1000000000;',
      '  client_header_timeout 10s;',
      '  client_body_timeout 10s;',
      // Bodies of the bench stay in memory instead of in temporary files.
      '  client_body_buffer_size 128k;',
      '  proxy_http_version 1.1;',
      '  proxy_connect_timeout 2s;',
      '  proxy_read_timeout 30s;',
      '  proxy_set_header Connection "";',
      '  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
      ...upstreams,
      '  server {',
      `    listen ${host(listen)} backlog=4096;`,
      '    location = /status { stub_status; }',
      ...locations,
      '  }',
      '}',
    ])
    return spawn('nginx', ['-p', directory, '-e', 'stderr', '-c', file], quiet)
  },
}

/** With its counters, time-outs, and its log in a ring in memory. */
const haproxy: GatewayProxy = {
  name: 'haproxy',
  missing: () => absent('haproxy'),
  start: async (directory, listen, functions) => {
    const backends = functions.flatMap(({ name, instances }) => [
      `backend ${name}`,
      '  balance roundrobin',
      '  http-reuse always',
      `  http-request replace-path /function/${name}(/.*) \\1`,
      ...instances.map((instance, n) => `  server i${n} ${host(instance)} weight ${instance.weight}`),
    ])
    const file = configuration(directory, [
      'ring requests',
      '  format rfc5424',
      '  maxlen 1024',
      '  size 1048576',
      'global',
      '  nbthread 1',
      '  maxconn 4096',
      '  log ring@requests local0',
      'defaults',
      '  mode http',
      '  log global',
      '  option httplog',
      '  option forwardfor',
      '  timeout http-request 10s',
      '  timeout connect 2s',
      '  timeout client 75s',
      '  timeout server 30s',
      'frontend bench',
      `  bind ${host(listen)} backlog 4096`,
      '  stats enable',
      ...functions.map(({ name }) => `  use_backend ${name} if { path_beg /function/${name}/ }`),
      ...backends,
    ])
    return spawn('haproxy', ['-db', '-q', '-f', file], quiet)
  },
}

/** Caddy 2.6 has no weights, and threads for all processors. */
const caddy: GatewayProxy = {
  name: 'caddy',
  missing: () => absent('caddy', 'version'),
  start: async (directory, listen, functions) => {
    const routes = functions.map(({ name, instances }) => {
      const to = instances.map(host).join(' ')
      return `  handle_path /function/${name}/* { \n reverse_proxy ${to} { \n lb_policy round_robin \n } \n }`
    })
    const file = configuration(directory, [
      '{',
      '  admin off',
      '  auto_https off',
      '}',
      `http://${host(listen)} {`,
      '  log {',
      `    output file ${join(directory, 'access.log')}`,
      '  }',
      ...routes,
      '}',
    ])
    const own = { XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory }
    return spawn('caddy', ['run', '--config', file, '--adapter', 'caddyfile'], {
      ...logged(directory),
      env: { ...process.env, ...own },
    })
  },
}

/** As edgerun's load balancer is built; Go's runtime has threads for all processors. */
const go: GatewayProxy = {
  name: 'go',
  missing: () => absent('go', 'version'),
  start: async (directory, listen, functions) => {
    const program = join(directory, 'reverseProxy')
    const source = fileURLToPath(new URL('reverseProxy.go', import.meta.url))
    const cache = { GOCACHE: fileURLToPath(new URL('../.lab/go', import.meta.url)), GO111MODULE: 'off' }
    execFileSync('go', ['build', '-o', program, source], { env: { ...process.env, ...cache } })
    const instances = (of: BenchFunction): string =>
      of.instances.map((instance) => `${host(instance)}*${instance.weight}`).join(',')
    return spawn(
      program,
      [host(listen), ...functions.map((of) => `${of.name}=${instances(of)}`)],
      logged(directory),
    )
  },
}

export const gatewayProxies: readonly GatewayProxy[] = [
  torb,
  engine('ring'),
  engine('portable'),
  nginx,
  haproxy,
  caddy,
  go,
]
