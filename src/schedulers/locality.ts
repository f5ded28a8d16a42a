import { foldAddress } from './hash.ts'
import type { Table } from './scheduler.ts'

/** Milliseconds an entry or a set's last change may be old: net.ipv4.vs.lblc_expiration, 24 h. */
export const expiration = 24 * 60 * 60 * 1000
const fullCheckInterval = 30 * 60 * 1000
/** Above this many entries, those unused for partialTimeout are collected, looked for every partialCheckInterval. */
const full = 16 * 1024
const partialCheckInterval = 60 * 1000
const partialTimeout = 6 * 60 * 1000
/** Beyond this nothing new is remembered, as where the kernel finds no memory. */
const limit = 4 * full

interface Entry<T> {
  readonly address: Uint8Array
  readonly key: number
  value: T
  lastUse: number
  next: Entry<T> | undefined
}

const sameAddress = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

/**
 * What lblc and lblcr remember for each destination address, with the expiry of ip_vs_lblc.c and ip_vs_lblcr.c.
 *
 * A small integer keys the map and entries of equal key are chained, so that looking up allocates nothing.
 */
export class Locality<T> {
  readonly #chains = new Map<number, Entry<T>>()
  #size = 0
  #nextFullCheck: number | undefined
  #nextPartialCheck = 0

  get size(): number {
    return this.#size
  }

  /** What is known of an address, which counts as a use of it. */
  use(address: Uint8Array, now: number): T | undefined {
    this.#collect(now)
    const entry = this.#find(address)
    if (entry === undefined) return undefined
    entry.lastUse = now
    return entry.value
  }

  set(address: Uint8Array, value: T, now: number): void {
    const known = this.#find(address)
    if (known !== undefined) {
      known.value = value
      return
    }
    if (this.#size >= limit) return
    const key = this.#key(address)
    this.#chains.set(key, { address: address.slice(), key, value, lastUse: now, next: this.#chains.get(key) })
    this.#size++
  }

  /** Gives every entry a new value; undefined forgets it. */
  update(change: (value: T) => T | undefined): void {
    this.#keep((entry) => {
      const value = change(entry.value)
      if (value === undefined) return false
      entry.value = value
      return true
    })
  }

  /** 30 bits, so that the engine keeps the key unboxed. */
  #key(address: Uint8Array): number {
    return foldAddress(address) & 0x3fffffff
  }

  #find(address: Uint8Array): Entry<T> | undefined {
    let entry = this.#chains.get(this.#key(address))
    while (entry !== undefined && !sameAddress(entry.address, address)) entry = entry.next
    return entry
  }

  /** Does without closures itself: their context would be allocated at every use. */
  #collect(now: number): void {
    this.#nextFullCheck ??= now + fullCheckInterval
    if (now >= this.#nextFullCheck) this.#collectExpired(now)
    if (this.#size > full && now >= this.#nextPartialCheck) this.#collectExcess(now)
  }

  #collectExpired(now: number): void {
    this.#nextFullCheck = now + fullCheckInterval
    this.#keep((entry) => now < entry.lastUse + expiration)
  }

  #collectExcess(now: number): void {
    this.#nextPartialCheck = now + partialCheckInterval
    let goal = Math.min(Math.floor(((this.#size - full) * 4) / 3), full / 2)
    this.#keep((entry) => now < entry.lastUse + partialTimeout || goal-- <= 0)
  }

  #keep(wanted: (entry: Entry<T>) => boolean): void {
    for (const [key, head] of this.#chains) {
      let kept: Entry<T> | undefined
      let next: Entry<T> | undefined
      for (let entry: Entry<T> | undefined = head; entry !== undefined; entry = next) {
        next = entry.next
        if (wanted(entry)) {
          entry.next = kept
          kept = entry
        } else this.#size--
      }
      if (kept === undefined) this.#chains.delete(key)
      else if (kept !== head) this.#chains.set(key, kept)
    }
  }
}

/** Over its weight while some other is below half of its own: time to look for another server. */
export const outgrown = (table: Table, index: number): boolean => {
  if (table.active[index]! <= table.weight[index]!) return false
  for (let other = 0; other < table.size; other++) {
    if (table.active[other]! * 2 < table.weight[other]!) return true
  }
  return false
}
