import { fileURLToPath } from 'node:url'
import type { Layout } from '../../lab/namespaces.ts'
import { bootUml, type Uml } from '../../lab/uml/uml.ts'
import type { Answer } from '../rig.ts'
import type { actor } from './ipvs.actor.ts'
import type { Member } from './ipvsMember.actor.ts'

/** A kernel with IPVS, and one network in it. */
export class IpvsGuest {
  readonly #uml: Uml<typeof actor>
  readonly #started = new Set<string>()

  private constructor(uml: Uml<typeof actor>) {
    this.#uml = uml
  }

  static async boot(layout: Layout): Promise<IpvsGuest> {
    const uml = await bootUml<typeof actor>({
      actor: fileURLToPath(new URL('ipvs.actor.ts', import.meta.url)),
      // ipip and ip_gre make a tunl0 and a gre0 in each namespace that comes after them.
      modules: ['veth', 'bridge', 'ipip', 'ip_gre', 'fou'],
      autoload: true,
      memoryMb: 1024,
      limitMs: 300_000,
    })
    try {
      await uml.guest.build(layout)
    } catch (error) {
      await uml.kill()
      throw error
    }
    return new IpvsGuest(uml)
  }

  /** Runs lines of sh in a namespace. @returns standard output @throws Error with standard error where one fails */
  async sh(role: string, lines: string): Promise<string> {
    const { status, stdout, stderr } = await this.#uml.guest.sh(role, `set -e; ${lines}`)
    if (status === 0) return stdout
    throw new Error(`${lines}: ended with ${status}: ${stderr}${stdout}`)
  }

  /** Starts `bin/torb` in a namespace under a name and waits until it is ready. */
  torb(name: string, role: string, line: string): Promise<void> {
    this.#started.add(name)
    return this.#uml.guest.torb(name, role, line.split(' '))
  }

  printed(name: string): Promise<string> {
    return this.#uml.guest.printed(name)
  }

  end(name: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    return this.#uml.guest.end(name, signal)
  }

  /** Who stands in a namespace; begins to at the first call. */
  member(role: string): Member {
    return new Proxy({} as Member, {
      get:
        (_, method: keyof Member) =>
        (...args: unknown[]) =>
          this.#uml.guest.call(role, method, args),
    })
  }

  /** A request to the REST API of the Torb in a namespace, from there. */
  api(role: string, method: string, path: string, body?: unknown): Promise<Answer> {
    return this.member(role).request(`http://127.0.0.1:4672${path}`, method, body)
  }

  /** Ends the programs in order first: what Node compiled for them is kept for the next boot. */
  async close(): Promise<void> {
    try {
      await Promise.all([...this.#started].map((name) => this.end(name)))
    } finally {
      await this.#uml.kill()
    }
  }
}
