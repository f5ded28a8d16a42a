import { canonicalAddress } from '../model/address.ts'

/** Milliseconds after which a name is looked up again. */
const refreshMs = 10_000

/** Addresses of the DNS names in use, kept fresh: one that does not resolve for a while keeps its last address. */
export class HostAddresses {
  /** '' where it is not known yet. */
  readonly #known = new Map<string, string>()
  readonly #resolve: (name: string) => Promise<string>
  readonly #changed: (host: string) => void
  readonly #timer: NodeJS.Timeout

  constructor(resolve: (name: string) => Promise<string>, changed: (host: string) => void) {
    this.#resolve = resolve
    this.#changed = changed
    this.#timer = setInterval(() => {
      for (const host of this.#known.keys()) void this.#look(host)
    }, refreshMs).unref()
  }

  /** @returns '' where it is not known yet */
  get(host: string): string {
    return this.#known.get(host) ?? ''
  }

  /** Has it looked up from now on. */
  use(host: string): void {
    if (this.#known.has(host)) return
    this.#known.set(host, '')
    void this.#look(host)
  }

  forget(host: string): void {
    this.#known.delete(host)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#known.clear()
  }

  async #look(host: string): Promise<void> {
    let address: string
    try {
      address = canonicalAddress(await this.#resolve(host))
    } catch {
      return
    }
    const before = this.#known.get(host)
    if (before === undefined || before === address) return
    this.#known.set(host, address)
    this.#changed(host)
  }
}
