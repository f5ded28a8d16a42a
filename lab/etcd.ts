import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Cluster, clusterDirectory } from './cluster.ts'
import { labCache, unpackedPackages } from './debianPackages.ts'
import { freePorts } from '../src/planes/freePort.ts'

const exec = promisify(execFile)

/** Debian packages that are unpacked beside each other; none is installed on the host. */
const packages = ['etcd-server', 'etcd-client']

const home = join(labCache, 'etcd')

/**
 * Downloads and unpacks etcd (13 MB) into `.lab/` of the checkout, once.
 *
 * @returns the path of the server
 * @throws Error with the cure where it cannot be downloaded
 */
export function installEtcd(): string {
  return join(unpackedPackages('etcd', 'etcd', packages), 'usr/bin/etcd')
}

/** Why there is no etcd to test against, or null where there is. */
export function etcdMissing(): string | null {
  return existsSync(home) ? null : 'etcd is missing: run "npm run lab"'
}

/** Files of an authority, and of a certificate that it signed for clients. */
export interface EtcdTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

interface Member {
  readonly name: string
  /** URL for clients. */
  readonly url: string
  readonly peer: string
}

/** A real etcd of one or more members on ports of its own of the loopback interface. It ends with this process. */
export class Etcd extends Cluster {
  /** null: without TLS. */
  readonly tls: EtcdTls | null
  protected readonly probeEveryMs = 50
  readonly #members: readonly Member[]
  /** What etcdctl says who it is; none before `enableAuth`. */
  #user: string | null = null

  private constructor(members: readonly Member[], directory: string, tls: EtcdTls | null) {
    super(directory, members.length)
    this.#members = members
    this.tls = tls
  }

  /** Starts `members` members; with `tls`, clients need a certificate, which is made. */
  static async start({ members = 1, tls = false } = {}): Promise<Etcd> {
    const directory = clusterDirectory('torb-etcd-')
    const ports = await freePorts(2 * members)
    const scheme = tls ? 'https' : 'http'
    const etcd = new Etcd(
      Array.from({ length: members }, (_, i) => ({
        name: `m${i}`,
        url: `${scheme}://127.0.0.1:${ports[2 * i]}`,
        peer: `http://127.0.0.1:${ports[2 * i + 1]}`,
      })),
      directory,
      tls ? makeCertificates(directory) : null,
    )
    return await etcd.started()
  }

  /** URLs for clients. */
  get urls(): string[] {
    return this.#members.map(({ url }) => url)
  }

  /** Ends all members and removes what they held; `start` brings up an empty etcd of the same ports. */
  async empty(): Promise<void> {
    await this.kill()
    for (const { name } of this.#members) rmSync(join(this.directory, name), { recursive: true })
    this.#user = null
  }

  /** Index of the member that leads. */
  async leader(): Promise<number> {
    type Row = {
      readonly Status: { readonly leader: number; readonly header: { readonly member_id: number } }
    }
    const rows = JSON.parse(await this.ctl('endpoint', 'status', '--write-out=json')) as readonly Row[]
    return rows.findIndex(({ Status }) => Status.leader === Status.header.member_id)
  }

  /** `etcdctl ARGS`, with all endpoints. @returns its standard output @throws Error with its standard error */
  async ctl(...args: readonly string[]): Promise<string> {
    return await this.#ctl(this.urls, args)
  }

  /** Puts many keys fast, without TLS and authentication. */
  async putAll(pairs: readonly (readonly [key: string, value: string])[]): Promise<void> {
    const encode = (text: string): string => Buffer.from(text).toString('base64')
    // Fewer than the 128 operations that a transaction may have.
    for (let i = 0; i < pairs.length; i += 100) {
      const success = pairs
        .slice(i, i + 100)
        .map(([key, value]) => ({ request_put: { key: encode(key), value: encode(value) } }))
      const answer = await fetch(`${this.urls[0]}/v3/kv/txn`, {
        method: 'POST',
        body: JSON.stringify({ success }),
      })
      if (!answer.ok) throw new Error(`etcd refuses a transaction: ${await answer.text()}`)
    }
  }

  /** Forgets all revisions but the present one. */
  async compact(): Promise<void> {
    const { header } = JSON.parse(await this.ctl('get', 'none', '--write-out=json')) as {
      readonly header: { readonly revision: number }
    }
    await this.ctl('compact', String(header.revision))
  }

  /** Turns on authentication, with root and a user who may read what begins with `prefix`. */
  async enableAuth(user: string, password: string, prefix: string): Promise<void> {
    await this.ctl('user', 'add', 'root:lab')
    await this.ctl('user', 'grant-role', 'root', 'root').catch(async () => {
      await this.ctl('role', 'add', 'root')
      await this.ctl('user', 'grant-role', 'root', 'root')
    })
    await this.ctl('role', 'add', 'reader')
    await this.ctl('role', 'grant-permission', 'reader', '--prefix=true', 'read', prefix)
    await this.ctl('user', 'add', `${user}:${password}`)
    await this.ctl('user', 'grant-role', user, 'reader')
    await this.ctl('auth', 'enable')
    this.#user = 'root:lab'
  }

  protected spawn(index: number): ChildProcess {
    const member = this.#members[index]!
    const flags: Readonly<Record<string, string>> = {
      name: member.name,
      'data-dir': join(this.directory, member.name),
      'listen-client-urls': member.url,
      'advertise-client-urls': member.url,
      'listen-peer-urls': member.peer,
      'initial-advertise-peer-urls': member.peer,
      'initial-cluster': this.#members.map(({ name, peer }) => `${name}=${peer}`).join(','),
      // Of members on one machine: half of the usual, so that an election does not take seconds.
      'heartbeat-interval': '50',
      'election-timeout': '500',
      'bcrypt-cost': '4',
      logger: 'zap',
      'log-level': 'warn',
      ...(this.tls === null
        ? {}
        : {
            'client-cert-auth': 'true',
            'trusted-ca-file': this.tls.ca,
            'cert-file': join(this.directory, 'server.crt'),
            'key-file': join(this.directory, 'server.key'),
          }),
    }
    return spawn(
      installEtcd(),
      Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
      {
        // Debian's 3.4 wants to be asked twice on arm64.
        env: { ...process.env, ...(process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {}) },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    )
  }

  protected async probe(index: number): Promise<void> {
    await this.#ctl([this.#members[index]!.url], ['endpoint', 'health'])
  }

  protected failure(index: number): string {
    return `etcd ${this.#members[index]!.name} does not come up`
  }

  async #ctl(urls: readonly string[], args: readonly string[]): Promise<string> {
    const { tls } = this
    const { stdout } = await exec(
      join(home, 'usr/bin/etcdctl'),
      [
        `--endpoints=${urls.join(',')}`,
        ...(tls === null ? [] : [`--cacert=${tls.ca}`, `--cert=${tls.cert}`, `--key=${tls.key}`]),
        ...(this.#user === null ? [] : [`--user=${this.#user}`]),
        ...args,
      ],
      { env: { ETCDCTL_API: '3' }, maxBuffer: 64 << 20 },
    )
    return stdout.trim()
  }
}

/** An authority, a certificate for the servers and one for clients. */
function makeCertificates(directory: string): EtcdTls {
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...curve, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=lab')
  // etcd's JSON gateway shows the server's certificate to the server itself as a client's.
  writeFileSync(
    join(directory, 'server.ext'),
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  )
  writeFileSync(join(directory, 'client.ext'), 'extendedKeyUsage=clientAuth\n')
  for (const name of ['server', 'client']) {
    const files = ['-keyout', `${name}.key`, '-out', `${name}.csr`]
    openssl('req', ...curve, ...files, '-subj', name === 'server' ? '/O=lab' : '/CN=torb')
    openssl(
      ...`x509 -req -in ${name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ${name}.ext -out ${name}.crt`.split(
        ' ',
      ),
    )
  }
  const file = (name: string): string => join(directory, name)
  return { ca: file('ca.crt'), cert: file('client.crt'), key: file('client.key') }
}
