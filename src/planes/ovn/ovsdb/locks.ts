import type { OvsdbLock } from './ovsdb.ts'
import type { Rpc } from './rpc.ts'

/** One lock (RFC 7047, section 4.1.8): asked for on each connection, since a server forgets it with the connection. */
class Lock implements OvsdbLock {
  readonly assertion: OvsdbLock['assertion']
  readonly #listeners = new Set<(held: boolean) => void>()
  #held = false
  known = false

  constructor(name: string) {
    this.assertion = { op: 'assert', lock: name }
  }

  get held(): boolean {
    return this.#held
  }

  set held(held: boolean) {
    this.known = true
    if (held === this.#held) return
    this.#held = held
    for (const listener of this.#listeners) listener(held)
  }

  watch(listener: (held: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

/** The locks that somebody here wants. */
export class Locks {
  readonly #locks = new Map<string, Lock>()
  #rpc: Rpc | null = null

  of(name: string): OvsdbLock {
    const known = this.#locks.get(name)
    if (known !== undefined) return known
    const lock = new Lock(name)
    this.#locks.set(name, lock)
    if (this.#rpc !== null) this.#request(this.#rpc, name, lock)
    return lock
  }

  /** Asks for all of them on a new connection; null: there is none, so none is held. */
  use(rpc: Rpc | null): void {
    this.#rpc = rpc
    for (const [name, lock] of this.#locks) {
      if (rpc === null) lock.held = false
      else this.#request(rpc, name, lock)
      lock.known = false
    }
  }

  /** `locked`: those before us are gone. `stolen`: somebody took it by force, so we queue up behind them. */
  notified(method: 'locked' | 'stolen', name: unknown): void {
    const lock = typeof name === 'string' ? this.#locks.get(name) : undefined
    if (lock === undefined || this.#rpc === null) return
    lock.held = method === 'locked'
    if (method === 'locked') return
    // The server refuses a second request for a name before the first one is taken back.
    void this.#rpc.ask('unlock', [name], () => {}).catch(() => {})
    this.#request(this.#rpc, name as string, lock)
  }

  #request(rpc: Rpc, name: string, lock: Lock): void {
    void rpc
      .ask('lock', [name], (result) => {
        const { locked } = (result ?? {}) as { readonly locked?: unknown }
        if (rpc === this.#rpc) lock.held = locked === true
      })
      // The connection ended: the next one asks again. No server refuses a name.
      .catch(() => {})
  }
}
