import { execFile, spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Methods } from './channel.ts'
import { startActor } from './process.ts'

const run = promisify(execFile)

/** A veth pair from a namespace to a bridge in the hub namespace; addresses in CIDR form. */
export interface Link {
  readonly bridge: string
  readonly addresses: readonly string[]
  readonly gateways?: readonly string[]
}

/** Namespaces around one hub (the director), which holds the bridges. */
export interface Layout {
  /** Bridges in the hub with the hub's own addresses. */
  readonly bridges: Readonly<Record<string, readonly string[]>>
  /** Prefixes that the hub takes as its own, all their addresses: virtual addresses. */
  readonly local: readonly string[]
  /** The links of a member are its eth0, eth1 and so on. */
  readonly members: Readonly<Record<string, Link | readonly Link[]>>
}

/** Why namespaces cannot be made here, or null where they can. */
export function namespacesMissing(): string | null {
  if (process.platform !== 'linux') return `network namespaces need Linux and this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'network namespaces need root: run this with sudo'
  if (spawnSync('ip', ['-V']).error !== undefined) return 'the command ip is missing: run "npm run lab"'
  return null
}

/** One network namespace and the processes in it. */
export class Namespace {
  readonly name: string
  readonly #children = new Set<ChildProcess>()

  constructor(name: string) {
    this.name = name
  }

  /** Runs a command to its end. @returns its standard output @throws Error with its standard error */
  async run(...command: readonly string[]): Promise<string> {
    return (await run('ip', ['netns', 'exec', this.name, ...command])).stdout
  }

  /** Starts a program; it ends with the network at the latest. */
  spawn(command: readonly string[], options: SpawnOptions = {}): ChildProcess {
    return this.#kept(spawn('ip', ['netns', 'exec', this.name, ...command], options))
  }

  /** Starts a process in here that serves a module's `actor` export, and returns those functions. */
  actor<T extends Methods>(module: URL): Promise<T> {
    return startActor<T>(module, ['ip', 'netns', 'exec', this.name], (child) => this.#kept(child))
  }

  /** Ends everything that was started in here. */
  kill(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    this.#children.clear()
  }

  #kept(child: ChildProcess): ChildProcess {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }
}

// Names carry the maker's pid, so that whoever comes later can tell what was left behind by a SIGKILL.
const prefix = 'torb-'
const standing = new Set<Network>()

/** A hub and its members, removed on `close`, at exit and on SIGINT, SIGTERM and SIGHUP. */
export class Network {
  readonly #hub: Namespace
  readonly #members: Map<string, Namespace>
  readonly #suffix: string
  readonly #steps: (() => void)[] = []

  private constructor(suffix: string, roles: readonly string[]) {
    this.#suffix = suffix
    this.#hub = this.#named('hub')
    this.#members = new Map(roles.map((role) => [role, this.#named(role)]))
  }

  /** @throws Error with what `ip` said; nothing then stays behind */
  static async create(layout: Layout): Promise<Network> {
    removeAbandoned()
    if (standing.size === 0) watchExit()
    const suffix = `${process.pid}-${randomBytes(3).toString('hex')}`
    const network = new Network(suffix, Object.keys(layout.members))
    standing.add(network)
    try {
      await network.#build(layout)
    } catch (error) {
      network.close()
      throw error
    }
    return network
  }

  get hub(): Namespace {
    return this.#hub
  }

  member(role: string): Namespace {
    const member = this.#members.get(role)
    if (member === undefined) throw new Error(`the network has no namespace "${role}"`)
    return member
  }

  /** One more namespace, with nothing in it; whoever asked for it links it. */
  async add(role: string): Promise<Namespace> {
    if (this.#members.has(role)) throw new Error(`the network has a namespace "${role}" already`)
    const member = this.#named(role)
    this.#members.set(role, member)
    await layOut([`netns add ${member.name}`])
    return member
  }

  /** What else `close` has to do, after all processes in here were ended. */
  onClose(step: () => void): void {
    this.#steps.push(step)
  }

  /** Synchronous, so that it also works at exit. */
  close(): void {
    standing.delete(this)
    const all = [this.#hub, ...this.#members.values()]
    for (const namespace of all) namespace.kill()
    remove(all.map(({ name }) => name))
    for (const step of this.#steps.splice(0)) step()
  }

  #named(role: string): Namespace {
    return new Namespace(`${prefix}${this.#suffix}-${role}`)
  }

  async #build(layout: Layout): Promise<void> {
    const hub = this.#hub.name
    const all = [this.#hub, ...this.#members.values()]
    await layOut(all.map(({ name }) => `netns add ${name}`))
    await layOut(
      [
        ...Object.entries(layout.bridges).flatMap(([bridge, addresses]) => [
          `link add ${bridge} type bridge stp_state 0`,
          ...addresses.map((address) => addressLine(address, bridge)),
          `link set ${bridge} up`,
        ]),
        'link set lo up',
        ...layout.local.map((range) => `route add local ${range} dev lo`),
        ...Object.entries(layout.members).flatMap(([role, links]) =>
          linksOf(links).flatMap(({ bridge }, n) => {
            const port = n === 0 ? role : `${role}-${n}`
            return [
              `link add ${port} type veth peer name eth${n} netns ${this.member(role).name}`,
              `link set ${port} master ${bridge} up`,
            ]
          }),
        ),
      ],
      hub,
    )
    await Promise.all(
      Object.entries(layout.members).map(([role, links]) =>
        layOut(
          [
            'link set lo up',
            ...linksOf(links).flatMap(({ addresses, gateways = [] }, n) => [
              ...addresses.map((address) => addressLine(address, `eth${n}`)),
              `link set eth${n} up`,
              ...gateways.map(
                (gateway) => `route add ${gateway.includes(':') ? '::/0' : '0.0.0.0/0'} via ${gateway}`,
              ),
            ]),
          ],
          this.member(role).name,
        ),
      ),
    )
    await this.#hub.run('sysctl', '-q', '-w', ...hubSettings)
  }
}

const linksOf = (links: Link | readonly Link[]): readonly Link[] => ('bridge' in links ? [links] : links)

/** No duplicate address detection: an IPv6 address would stay tentative for a second or two. */
const addressLine = (address: string, device: string): string =>
  `address add ${address} dev ${device}${address.includes(':') ? ' nodad' : ''}`

/** Lines of `ip -batch`. @throws Error with what `ip` said */
export async function layOut(lines: readonly string[], namespace?: string): Promise<void> {
  const child = spawn('ip', [...(namespace === undefined ? [] : ['-n', namespace]), '-batch', '-'])
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  child.stdin.end(`${lines.join('\n')}\n`)
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`ip could not lay out ${namespace ?? 'the namespaces'}: ${said.trim()}`)
}

function remove(names: readonly string[]): void {
  const input = names.map((name) => `netns del ${name}\n`).join('')
  spawnSync('ip', ['-force', '-batch', '-'], { input, stdio: ['pipe', 'ignore', 'ignore'] })
}

/** Removes namespaces whose maker is gone. */
function removeAbandoned(): void {
  let names: string[] = []
  try {
    names = readdirSync('/run/netns')
  } catch {
    return
  }
  const abandoned = names.filter((name) => {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid === undefined) return false
    try {
      process.kill(Number(pid), 0)
      return false
    } catch {
      return true
    }
  })
  if (abandoned.length > 0) remove(abandoned)
}

// IPv6 has no bind to an address that only a local route covers, unless non-local binds are allowed.
const hubSettings = ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1', 'net.ipv6.ip_nonlocal_bind=1']

let watching = false

function watchExit(): void {
  if (watching) return
  watching = true
  const closeAll = (): void => {
    for (const network of standing) network.close()
  }
  process.on('exit', closeAll)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      closeAll()
      process.kill(process.pid, signal)
    })
  }
}
