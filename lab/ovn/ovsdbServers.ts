import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePorts } from '../consul.ts'

const exec = promisify(execFile)

const server = '/usr/sbin/ovsdb-server'

/** Debian's northbound and southbound schemas. */
export const ovnSchemas = {
  northbound: '/usr/share/ovn/ovn-nb.ovsschema',
  southbound: '/usr/share/ovn/ovn-sb.ovsschema',
} as const

/** How long a server may take until it serves, and a cluster until it has a leader. */
const startLimitMs = 30_000

/** Why there is no ovsdb-server with OVN's schemas to test against, or null where there is. */
export function ovsdbMissing(): string | null {
  return existsSync(server) && existsSync(ovnSchemas.northbound)
    ? null
    : 'ovsdb-server or OVN is missing: apt-get install --no-install-recommends ovn-central'
}

/** PEM texts of an authority, and of a certificate that it signed for clients. */
export interface OvsdbServersTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

interface Member {
  readonly directory: string
  readonly remotes: readonly string[]
  process: ChildProcess | null
  log: string
}

interface Options {
  /** Path of an .ovsschema. */
  readonly schema: string
  /** One: standalone; more: a cluster. */
  readonly members?: number
  readonly tls?: boolean
}

/** Real ovsdb-servers of one database, with sockets and files of their own. They end with this process. */
export class OvsdbServers implements AsyncDisposable {
  readonly database: string
  /** `unix:` addresses of the members. */
  readonly unix: readonly string[]
  readonly tcp: readonly string[]
  /** Empty without TLS. */
  readonly ssl: readonly string[]
  readonly tls: OvsdbServersTls | null
  readonly #directory: string
  readonly #members: readonly Member[]

  private constructor(directory: string, { schema, members = 1, tls = false }: Options, ports: number[]) {
    this.#directory = directory
    this.database = (JSON.parse(readFileSync(schema, 'utf8')) as { name: string }).name
    this.tls = tls ? makeCertificates(directory) : null
    const indices = Array.from({ length: members }, (_, i) => i)
    const port = (i: number): number => ports[i] ?? 0
    this.tcp = indices.map((i) => `tcp:127.0.0.1:${port(i)}`)
    this.ssl = tls ? indices.map((i) => `ssl:127.0.0.1:${port(members + i)}`) : []
    const raft = indices.map((i) => `tcp:127.0.0.1:${port(2 * members + i)}`)
    this.#members = indices.map((i) => ({
      directory: join(directory, String(i)),
      remotes: [
        `punix:${join(directory, `${i}.sock`)}`,
        `ptcp:${port(i)}:127.0.0.1`,
        ...(tls ? [`pssl:${port(members + i)}:127.0.0.1`] : []),
      ],
      process: null,
      log: '',
    }))
    this.unix = indices.map((i) => `unix:${join(directory, `${i}.sock`)}`)
    for (const [i, member] of this.#members.entries()) {
      const tool = (...args: readonly string[]): void => {
        execFileSync('/usr/bin/ovsdb-tool', args, { stdio: ['ignore', 'ignore', 'pipe'] })
      }
      if (members === 1) tool('create', member.directory, schema)
      // Half of the usual, so that an election does not take seconds.
      else if (i === 0)
        tool('--election-timer=500', 'create-cluster', member.directory, schema, raft[0] ?? '')
      else tool('join-cluster', member.directory, this.database, raft[i] ?? '', ...raft.slice(0, i))
    }
  }

  static async start(options: Options): Promise<OvsdbServers> {
    const directory = mkdtempSync(join(tmpdir(), 'torb-ovsdb-'))
    const ports = await freePorts(3 * (options.members ?? 1))
    const servers = new OvsdbServers(directory, options, ports)
    process.once('exit', servers.#killAll)
    try {
      await servers.start()
      return servers
    } catch (error) {
      await servers[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Starts the members that do not run, or the one at `index`, and waits until they serve the database. */
  async start(index?: number): Promise<void> {
    const started = this.#chosen(index).filter(({ process }) => process === null)
    for (const member of started) this.#spawn(member)
    await Promise.all(started.map((member) => this.#serves(member)))
  }

  /** Ends all members, or the one at `index`, as a power cut would. */
  async kill(index?: number): Promise<void> {
    await Promise.all(
      this.#chosen(index).map(async (member) => {
        const child = member.process
        member.process = null
        if (child === null || child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      }),
    )
  }

  /** Holds the member at `index` up, as an overloaded machine would, until `resume`. */
  pause(index = 0): void {
    this.#members[index]?.process?.kill('SIGSTOP')
  }

  resume(index = 0): void {
    this.#members[index]?.process?.kill('SIGCONT')
  }

  /** Index of the member that leads; -1: none does now. */
  async leader(): Promise<number> {
    const roles = await Promise.all(
      this.#members.map(async (member, i) =>
        member.process === null ? '' : await this.appctl(i, 'cluster/status', this.database),
      ),
    )
    return roles.findIndex((status) => /^Role: leader$/m.test(status))
  }

  /** `ovs-appctl ARGS` at the member at `index`. @returns its standard output */
  async appctl(index: number, ...args: readonly string[]): Promise<string> {
    const { stdout } = await exec('ovs-appctl', ['-T', '5', '-t', this.#control(index), ...args])
    return stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#killAll)
    await this.kill()
    rmSync(this.#directory, { recursive: true, force: true })
  }

  readonly #killAll = (): void => {
    for (const { process } of this.#members) process?.kill('SIGKILL')
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #control(index: number): string {
    return join(this.#directory, `${index}.ctl`)
  }

  #chosen(index: number | undefined): readonly Member[] {
    return this.#members.filter((_, i) => index === undefined || i === index)
  }

  #spawn(member: Member): void {
    const file = (name: string): string => join(this.#directory, name)
    const index = this.#members.indexOf(member)
    // One that was killed leaves it.
    rmSync(file(`${index}.sock`), { force: true })
    const child = spawn(
      server,
      [
        '--no-chdir',
        '-vconsole:warn',
        `--unixctl=${this.#control(index)}`,
        ...member.remotes.map((remote) => `--remote=${remote}`),
        ...(this.tls === null
          ? []
          : [
              `--private-key=${file('server.key')}`,
              `--certificate=${file('server.crt')}`,
              `--ca-cert=${file('ca.crt')}`,
            ]),
        member.directory,
      ],
      { env: { ...process.env, OVS_RUNDIR: this.#directory }, stdio: ['ignore', 'ignore', 'pipe'] },
    )
    member.process = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      member.log = `${member.log}${text}`.slice(-10_000)
    })
  }

  async #serves(member: Member): Promise<void> {
    const address = this.unix[this.#members.indexOf(member)] ?? ''
    const until = Date.now() + startLimitMs
    for (;;) {
      try {
        // Where there is no socket yet, ovsdb-client tries again after a second only.
        if (!existsSync(address.slice('unix:'.length))) throw new Error('there is no socket')
        await exec('ovsdb-client', ['--timeout=10', 'wait', address, this.database, 'connected'])
        return
      } catch (error) {
        if (member.process?.exitCode !== null || Date.now() > until)
          throw new Error(`ovsdb-server does not serve ${this.database}; its log:\n${member.log}`, {
            cause: error,
          })
        await sleep(5)
      }
    }
  }
}

/** An authority, a certificate for the servers and one for clients; the names are nobody's, as in those of ovs-pki. */
function makeCertificates(directory: string): OvsdbServersTls {
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...curve, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=lab')
  // Version 3, which node:tls wants.
  writeFileSync(join(directory, 'extensions'), 'basicConstraints=CA:FALSE\n')
  for (const name of ['server', 'client']) {
    openssl('req', ...curve, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    const sign = `x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions`
    openssl(...sign.split(' '), '-out', `${name}.crt`)
  }
  const text = (name: string): string => readFileSync(join(directory, name), 'utf8')
  return { ca: text('ca.crt'), cert: text('client.crt'), key: text('client.key') }
}
