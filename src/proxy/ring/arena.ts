import { mapFlag, type Calls, type Memory } from '../../kernel/uring/calls.ts'

/** An address of a peer: struct sockaddr_in6 rounded up; behind that struct, where the kernel is to write one, its length. */
const addressBytes = 32
export const lengthAt = 28
/** Accepts that may have a place for the peer's address. */
export const places = 64
/** So that every index is a small integer of the engine. */
const mostBytes = 2 ** 31
const span = 2 ** 32

/**
 * The memory of a transport's operations: the slots, behind them a socket address for each, and the count of the wake-up. It
 * costs only what is touched. It lies within one stretch of 4 GiB, so that only the lower half of its addresses differs.
 */
export class Arena {
  readonly bytes: Uint8Array
  readonly #addresses: Uint8Array
  readonly #named: readonly Uint8Array[]
  readonly #namedWords: Int32Array
  /** The lower and upper half of the first byte's address. */
  readonly low: number
  readonly high: number
  readonly #calls: Calls
  readonly #memory: Memory
  readonly #slotsBytes: number

  /** @throws RangeError where a slot is no power of two of at least 4096, or all are above 2 GiB */
  constructor(calls: Calls, slots: number, slotBytes: number) {
    this.#slotsBytes = slots * slotBytes
    if (slotBytes < 4096 || (slotBytes & (slotBytes - 1)) !== 0 || this.#slotsBytes > mostBytes)
      throw new RangeError(
        `${slots} slots of ${slotBytes} bytes: a slot is a power of two from 4096 on, and all of them are at most 2 GiB`,
      )
    const length = this.#slotsBytes + slots * addressBytes + 8 + places * addressBytes
    this.#calls = calls
    this.#memory = calls.map(length * 2, mapFlag.private | mapFlag.anonymous | mapFlag.noReserve, -1, 0)
    const { address, buffer } = this.#memory
    const ahead = span - (address % span)
    const offset = ahead < length ? ahead : 0
    this.bytes = new Uint8Array(buffer, offset, this.#slotsBytes)
    this.#addresses = new Uint8Array(buffer, offset + this.#slotsBytes, slots * addressBytes)
    const placesAt = offset + this.#slotsBytes + slots * addressBytes + 8
    this.#named = Array.from(
      { length: places },
      (_, place) => new Uint8Array(buffer, placesAt + place * addressBytes, addressBytes),
    )
    this.#namedWords = new Int32Array(buffer, placesAt, (places * addressBytes) >> 2)
    this.low = (address + offset) | 0
    this.high = Math.floor((address + offset) / span)
  }

  /** @param socketAddress struct sockaddr_in or sockaddr_in6, whose port is put in */
  putAddress(slot: number, socketAddress: Uint8Array, port: number): void {
    const at = slot * addressBytes
    this.#addresses.set(socketAddress, at)
    this.#addresses[at + 2] = port >> 8
    this.#addresses[at + 3] = port & 0xff
  }

  lowOfAddress(slot: number): number {
    return (this.low + this.#slotsBytes + slot * addressBytes) | 0
  }

  /** 8 bytes of their own. */
  get lowOfCount(): number {
    return (this.low + this.#slotsBytes + this.#addresses.length) | 0
  }

  /** Where the kernel may write a peer's address. @returns the lower half of it; 0: there is no such place */
  preparePlace(place: number): number {
    if (place >= places) return 0
    this.#namedWords[(place * addressBytes + lengthAt) >> 2] = lengthAt
    return (this.lowOfCount + 8 + place * addressBytes) | 0
  }

  /** What was written there. */
  namedAt(place: number): Uint8Array | undefined {
    return this.#named[place]
  }

  /** Gives the pages back. What is read afterwards is 0. */
  end(): void {
    this.#calls.discard(this.#memory)
  }
}
