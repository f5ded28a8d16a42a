import { fnvBasis } from '../schedulers/hash.ts'

const fnvPrime = 0x01000193

interface Entry<T> {
  readonly hash: number
  readonly name: Uint8Array
  readonly value: T
}

/** A hash table (linear probing) whose keys are looked up as bytes where they lie, without making a string. */
export class ByteTable<T> {
  #slots: (Entry<T> | null | undefined)[] = Array.from({ length: 16 })
  /** Entries and the nulls that deleted ones leave behind. */
  #taken = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @returns undefined where there is none */
  get(bytes: Uint8Array, from: number, end: number): T | undefined {
    const slots = this.#slots
    const mask = slots.length - 1
    const hash = hashBytes(bytes, from, end)
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const entry = slots[at]
      if (entry === undefined) return undefined
      if (entry !== null && entry.hash === hash && sameBytes(entry.name, bytes, from, end)) return entry.value
    }
  }

  set(name: Uint8Array, value: T): void {
    this.delete(name)
    if ((this.#taken + 1) * 2 > this.#slots.length) this.#grow()
    this.#insert({ hash: hashBytes(name, 0, name.length), name, value })
    this.#size++
  }

  delete(name: Uint8Array): void {
    const mask = this.#slots.length - 1
    const hash = hashBytes(name, 0, name.length)
    for (let at = hash & mask; this.#slots[at] !== undefined; at = (at + 1) & mask) {
      const entry = this.#slots[at]
      if (entry?.hash !== hash || !sameBytes(entry.name, name, 0, name.length)) continue
      this.#slots[at] = null
      this.#size--
      return
    }
  }

  #insert(entry: Entry<T>): void {
    const mask = this.#slots.length - 1
    let at = entry.hash & mask
    while (this.#slots[at] !== undefined) at = (at + 1) & mask
    this.#slots[at] = entry
    this.#taken++
  }

  #grow(): void {
    const entries = this.#slots.filter((entry) => entry !== undefined && entry !== null)
    let length = 16
    while (length < (entries.length + 1) * 4) length *= 2
    this.#slots = Array.from({ length })
    this.#taken = 0
    for (const entry of entries) this.#insert(entry)
  }
}

/** FNV-1a (RFC 9923). */
export function hashBytes(bytes: Uint8Array, from: number, end: number): number {
  let hash = fnvBasis
  for (let at = from; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, fnvPrime)
  return hash >>> 0
}

function sameBytes(name: Uint8Array, bytes: Uint8Array, from: number, end: number): boolean {
  if (name.length !== end - from) return false
  for (let at = 0; at < name.length; at++) if (name[at] !== bytes[from + at]) return false
  return true
}
