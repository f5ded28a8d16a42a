import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Cluster, clusterDirectory } from '../cluster.ts'
import { freePorts } from '../../src/planes/freePort.ts'

const exec = promisify(execFile)

const server = '/usr/sbin/ovsdb-server'

/** Debian's northbound and southbound schemas. */
export const ovnSchemas = {
  northbound: '/usr/share/ovn/ovn-nb.ovsschema',
  southbound: '/usr/share/ovn/ovn-sb.ovsschema',
} as const

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
  readonly database: string
  readonly remotes: readonly string[]
}

interface Options {
  /** Path of an .ovsschema. */
  readonly schema: string
  /** One: standalone; more: a cluster. */
  readonly members?: number
  readonly tls?: boolean
}

/** Real ovsdb-servers of one database, with sockets and files of their own. They end with this process. */
export class OvsdbServers extends Cluster {
  readonly database: string
  /** `unix:` addresses of the members. */
  readonly unix: readonly string[]
  readonly tcp: readonly string[]
  /** Empty without TLS. */
  readonly ssl: readonly string[]
  readonly tls: OvsdbServersTls | null
  // Where there is a socket ovsdb-client waits by itself.
  protected readonly probeEveryMs = 5
  readonly #members: readonly Member[]

  private constructor(directory: string, { schema, members = 1, tls = false }: Options, ports: number[]) {
    super(directory, members)
    this.database = (JSON.parse(readFileSync(schema, 'utf8')) as { name: string }).name
    this.tls = tls ? makeCertificates(directory) : null
    const indices = Array.from({ length: members }, (_, i) => i)
    const port = (i: number): number => ports[i] ?? 0
    this.tcp = indices.map((i) => `tcp:127.0.0.1:${port(i)}`)
    this.ssl = tls ? indices.map((i) => `ssl:127.0.0.1:${port(members + i)}`) : []
    const raft = indices.map((i) => `tcp:127.0.0.1:${port(2 * members + i)}`)
    this.#members = indices.map((i) => ({
      database: join(directory, String(i)),
      remotes: [
        `punix:${join(directory, `${i}.sock`)}`,
        `ptcp:${port(i)}:127.0.0.1`,
        ...(tls ? [`pssl:${port(members + i)}:127.0.0.1`] : []),
      ],
    }))
    this.unix = indices.map((i) => `unix:${join(directory, `${i}.sock`)}`)
    for (const [i, { database }] of this.#members.entries()) {
      const tool = (...args: readonly string[]): void => {
        execFileSync('/usr/bin/ovsdb-tool', args, { stdio: ['ignore', 'ignore', 'pipe'] })
      }
      if (members === 1) tool('create', database, schema)
      // Half of the usual, so that an election does not take seconds.
      else if (i === 0) tool('--election-timer=500', 'create-cluster', database, schema, raft[0] ?? '')
      else tool('join-cluster', database, this.database, raft[i] ?? '', ...raft.slice(0, i))
    }
  }

  static async start(options: Options): Promise<OvsdbServers> {
    const directory = clusterDirectory('torb-ovsdb-')
    const ports = await freePorts(3 * (options.members ?? 1))
    return await new OvsdbServers(directory, options, ports).started()
  }

  /** Index of the member that leads; -1: none does now. */
  async leader(): Promise<number> {
    const roles = await Promise.all(
      this.#members.map(async (_, i) =>
        this.isStarted(i) ? await this.appctl(i, 'cluster/status', this.database) : '',
      ),
    )
    return roles.findIndex((status) => /^Role: leader$/m.test(status))
  }

  /** `ovs-appctl ARGS` at the member at `index`. @returns its standard output */
  async appctl(index: number, ...args: readonly string[]): Promise<string> {
    const { stdout } = await exec('ovs-appctl', ['-T', '5', '-t', this.#control(index), ...args])
    return stdout
  }

  protected spawn(index: number): ChildProcess {
    const { database, remotes } = this.#members[index]!
    const file = (name: string): string => join(this.directory, name)
    // One that was killed leaves it.
    rmSync(file(`${index}.sock`), { force: true })
    return spawn(
      server,
      [
        '--no-chdir',
        '-vconsole:warn',
        `--unixctl=${this.#control(index)}`,
        ...remotes.map((remote) => `--remote=${remote}`),
        ...(this.tls === null
          ? []
          : [
              `--private-key=${file('server.key')}`,
              `--certificate=${file('server.crt')}`,
              `--ca-cert=${file('ca.crt')}`,
            ]),
        database,
      ],
      { env: { ...process.env, OVS_RUNDIR: this.directory }, stdio: ['ignore', 'ignore', 'pipe'] },
    )
  }

  protected async probe(index: number): Promise<void> {
    const address = this.unix[index] ?? ''
    // Where there is no socket yet, ovsdb-client tries again after a second only.
    if (!existsSync(address.slice('unix:'.length))) throw new Error('there is no socket')
    await exec('ovsdb-client', ['--timeout=10', 'wait', address, this.database, 'connected'])
  }

  protected failure(): string {
    return `ovsdb-server does not serve ${this.database}`
  }

  #control(index: number): string {
    return join(this.directory, `${index}.ctl`)
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
