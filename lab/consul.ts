import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../src/planes/freePort.ts'

/** The last Debian release that has a package of Consul (1.8.7). */
const suite = 'bullseye'

/** The cache in the checkout; git ignores it. */
const cache = fileURLToPath(new URL('../.lab/', import.meta.url))

/** Path of a Consul: the one in the search path, or the one that `installConsul` unpacked; null where there is none. */
export function consulBinary(): string | null {
  const places = (process.env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, 'consul'))
  return [join(cache, 'consul/usr/bin/consul'), ...places].find((file) => existsSync(file)) ?? null
}

/**
 * Downloads and unpacks Consul into `.lab/` of the checkout, once, unless there is one in the search path.
 *
 * @throws Error with the cure where it cannot be downloaded
 */
export function installConsul(): string {
  const there = consulBinary()
  if (there !== null) return there
  const fresh = join(cache, `consul.${process.pid}`)
  mkdirSync(join(fresh, 'apt/lists/partial'), { recursive: true })
  mkdirSync(join(fresh, 'apt/archives/partial'), { recursive: true })
  try {
    const sources = sourcesOf(suite)
    if (sources === null) throw new Error('no package source of Debian is set up in /etc/apt')
    const list = join(fresh, `apt/lab.${sources.format}`)
    writeFileSync(list, sources.text)
    const apt = (...args: string[]): void => {
      execFileSync(
        'apt-get',
        [
          '--quiet=2',
          ...settings({
            'Dir::Etc::SourceList': list,
            'Dir::Etc::SourceParts': '-',
            'Dir::State::Lists': join(fresh, 'apt/lists'),
            'Dir::Cache': join(fresh, 'apt'),
            'APT::Sandbox::User': 'root',
            // The suite gets no more updates.
            'Acquire::Check-Valid-Until': 'false',
          }),
          ...args,
        ],
        { cwd: fresh, stdio: ['ignore', 'ignore', 'pipe'] },
      )
    }
    apt('update')
    apt('download', 'consul')
    const [deb = ''] = globSync('consul_*.deb', { cwd: fresh })
    execFileSync('dpkg', ['-x', join(fresh, deb), fresh])
    rmSync(join(fresh, deb))
    rmSync(join(fresh, 'apt'), { recursive: true })
    try {
      renameSync(fresh, join(cache, 'consul'))
    } catch (error) {
      // Another process was faster; its copy is as good.
      if (consulBinary() === null) throw error
    }
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new Error(
      `Consul could not be downloaded from Debian ${suite} (${text.trim()}): run this on Debian with its packages in reach, or put a consul into the search path`,
      { cause: error },
    )
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  const binary = consulBinary()
  if (binary === null) throw new Error(`Consul is not in ${cache} although it was unpacked there`)
  return binary
}

const settings = (options: Readonly<Record<string, string>>): string[] =>
  Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])

/** Why there is no Consul to test against, or null where there is. */
export function consulMissing(): string | null {
  return consulBinary() === null ? 'Consul is missing: run "npm run lab"' : null
}

/** A Consul agent on ports of its own of the loopback interface, with a catalogue and DNS. It ends with this process. */
export class Consul implements AsyncDisposable {
  readonly url: string
  readonly dns: string
  readonly #arguments: readonly string[]
  readonly #data: string | null
  #process: ChildProcess | null = null

  private constructor(http: number, ports: readonly number[], data: string | null) {
    const [dns = 0, server, serf] = ports
    this.url = `http://127.0.0.1:${http}`
    this.dns = `127.0.0.1:${dns}`
    this.#data = data
    const flags = {
      bind: '127.0.0.1',
      client: '127.0.0.1',
      node: 'lab',
      'http-port': http,
      'dns-port': dns,
      'server-port': server,
      'serf-lan-port': serf,
      'serf-wan-port': -1,
      'grpc-port': -1,
      'log-level': 'warn',
    }
    this.#arguments = [
      'agent',
      ...Object.entries(flags).map(([name, value]) => `-${name}=${value}`),
      ...(data === null
        ? ['-dev']
        : [
            '-server',
            '-bootstrap-expect=1',
            `-data-dir=${data}`,
            '-hcl=performance { raft_multiplier = 1 }',
          ]),
    ]
  }

  /** @param keeps true: what is registered outlives a restart; false: the agent comes up empty, as `consul agent -dev` does */
  static async start(keeps = false): Promise<Consul> {
    const [http = 0, ...ports] = await freePorts(4)
    const consul = new Consul(http, ports, keeps ? mkdtempSync(join(tmpdir(), 'torb-consul-')) : null)
    await consul.start()
    return consul
  }

  /** Starts the agent, again after `stop`, and waits until it has a leader. @throws Error with its output where it ends before */
  async start(): Promise<void> {
    const binary = consulBinary()
    if (binary === null) throw new Error('Consul is missing: run "npm run lab"')
    const child = spawn(binary, this.#arguments, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = child
    process.once('exit', this.#kill)
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-10_000)))
    while (!(await this.#hasLeader())) {
      if (child.exitCode !== null) throw new Error(`consul ended with ${child.exitCode}:\n${output}`)
      await sleep(50)
    }
  }

  /** Ends the agent as a power cut would. */
  async stop(): Promise<void> {
    const child = this.#process
    this.#process = null
    process.off('exit', this.#kill)
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  /** What the agent holds: "address:port" by the id of the registration. */
  async services(): Promise<Record<string, string>> {
    const answer = await fetch(`${this.url}/v1/agent/services`)
    const held = (await answer.json()) as Record<string, { readonly Address: string; readonly Port: number }>
    return Object.fromEntries(
      Object.entries(held).map(([id, { Address, Port }]) => [id, `${Address}:${Port}`]),
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    if (this.#data !== null) rmSync(this.#data, { recursive: true, force: true })
  }

  readonly #kill = (): void => void this.#process?.kill('SIGKILL')

  async #hasLeader(): Promise<boolean> {
    const answer = await fetch(`${this.url}/v1/status/leader`).catch(() => null)
    return answer?.ok === true && (await answer.text()) !== '""'
  }
}

/** The machine's own sources of Debian packages, for another suite: mirrors and keys stay. null where there are none. */
function sourcesOf(other: string): { readonly format: 'sources' | 'list'; readonly text: string } | null {
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'stable'
  const read = (pattern: string): string[] =>
    globSync(pattern, { cwd: '/etc/apt' }).map((file) => readFileSync(join('/etc/apt', file), 'utf8'))
  const stanzas = read('sources.list.d/*.sources')
    .flatMap((text) => text.replaceAll(/^#.*\n/gm, '').split(/\n\s*\n/))
    .filter((stanza) => new RegExp(`^Suites:(.*\\s)?${codename}(\\s|$)`, 'm').test(stanza))
    .map((stanza) =>
      stanza
        .trim()
        .replace(/^Suites:.*$/m, `Suites: ${other}`)
        .replace(/^Components:.*$/m, 'Components: main'),
    )
  if (stanzas.length > 0) return { format: 'sources', text: `${stanzas.join('\n\n')}\n` }
  const lines = [...read('sources.list'), ...read('sources.list.d/*.list')]
    .flatMap((text) => text.split('\n'))
    .map((line) => /^(deb\s+(?:\[[^\]]*\]\s+)?\S+)\s+(\S+)\s/.exec(`${line} `))
    .filter((line) => line?.[2] === codename)
    .map((line) => `${line?.[1]} ${other} main\n`)
  return lines.length === 0 ? null : { format: 'list', text: lines.join('') }
}
