import { type ExchangeEnd, type Outcome, outcomes } from './policy.ts'

/** Bytes of a target that are logged. */
export const targetLimit = 128
/** The longest address: IPv6 with an IPv4 tail. */
export const addressLimit = 45

const headerBytes = 8
/** time 0, milliseconds 8, request bytes 16, response bytes 24, upstream 32, status 36, outcome 38, lengths 39 to 41. */
const texts = 42
const methodLimit = 16
const recordBytes = 232

/** One request, as it is read from the log. */
export interface AccessRecord {
  /** Its end, in milliseconds since 1970. */
  readonly time: number
  readonly client: string
  readonly method: string
  readonly target: string
  /** -1: none was chosen. */
  readonly upstream: number
  readonly status: number
  readonly outcome: Outcome
  readonly milliseconds: number
  readonly requestBytes: number
  readonly responseBytes: number
}

/** Text that a record is made with: kept from the head until the request has ended. */
export class LoggedText {
  readonly bytes = new Uint8Array(addressLimit + methodLimit + targetLimit)
  client = 0
  method = 0
  target = 0

  /** Positions are in `from`. */
  keep(
    address: Uint8Array,
    addressLength: number,
    from: Uint8Array,
    methodAt: number,
    methodEnd: number,
    targetAt: number,
    targetEnd: number,
  ): void {
    this.client = addressLength
    for (let index = 0; index < addressLength; index++) this.bytes[index] = address[index] as number
    let at = addressLength
    this.method = Math.min(methodEnd - methodAt, methodLimit)
    for (let index = 0; index < this.method; index++) this.bytes[at++] = from[methodAt + index] as number
    this.target = Math.min(targetEnd - targetAt, targetLimit)
    for (let index = 0; index < this.target; index++) this.bytes[at++] = from[targetAt + index] as number
  }
}

/**
 * A ring of fixed records in memory that threads share: the proxy writes, somebody else reads from time to time and makes
 * lines of them. What is not read in time is written over.
 */
export class AccessLog {
  readonly memory: SharedArrayBuffer
  /** A power of two, so that the count may go round at 2^32. */
  readonly #records: number
  readonly #written: Int32Array
  readonly #view: DataView
  readonly #bytes: Uint8Array
  #at = 0
  #read = 0

  /** @param memory of another thread's AccessLog, or how many records to hold: a power of two */
  constructor(memory: SharedArrayBuffer | number) {
    this.memory =
      typeof memory === 'number' ? new SharedArrayBuffer(headerBytes + memory * recordBytes) : memory
    this.#records = Math.floor((this.memory.byteLength - headerBytes) / recordBytes)
    if ((this.#records & (this.#records - 1)) !== 0)
      throw new RangeError(`an access log of ${this.#records} records: take a power of two`)
    this.#written = new Int32Array(this.memory, 0, 1)
    this.#view = new DataView(this.memory, headerBytes)
    this.#bytes = new Uint8Array(this.memory, headerBytes)
  }

  /** Called by one thread only. */
  write(time: number, text: LoggedText, end: ExchangeEnd): void {
    const at = (this.#at & (this.#records - 1)) * recordBytes
    const view = this.#view
    view.setFloat64(at, time)
    view.setFloat64(at + 8, end.milliseconds)
    view.setFloat64(at + 16, end.requestBytes)
    view.setFloat64(at + 24, end.responseBytes)
    view.setInt32(at + 32, end.upstream)
    view.setUint16(at + 36, end.status)
    view.setUint8(at + 38, outcomes.indexOf(end.outcome))
    view.setUint8(at + 39, text.client)
    view.setUint8(at + 40, text.method)
    view.setUint8(at + 41, text.target)
    const length = text.client + text.method + text.target
    for (let index = 0; index < length; index++) this.#bytes[at + texts + index] = text.bytes[index] as number
    this.#at = (this.#at + 1) | 0
    // Makes what was written above visible.
    Atomics.store(this.#written, 0, this.#at)
  }

  /** Calls with each record since the last time. @returns how many were lost, because they came faster than they were read */
  drain(each: (record: AccessRecord) => void): number {
    const written = Atomics.load(this.#written, 0)
    const fresh = (written - this.#read) >>> 0
    const lost = Math.max(0, fresh - this.#records)
    for (let left = fresh - lost; left > 0; left--) each(this.#record(written - left))
    this.#read = written
    return lost
  }

  #record(index: number): AccessRecord {
    const at = (index & (this.#records - 1)) * recordBytes
    const view = this.#view
    let from = at + texts
    const text = (bytes: number): string => {
      const part = Buffer.from(this.#bytes.slice(from, from + bytes)).toString('latin1')
      from += bytes
      return part
    }
    return {
      time: view.getFloat64(at),
      milliseconds: view.getFloat64(at + 8),
      requestBytes: view.getFloat64(at + 16),
      responseBytes: view.getFloat64(at + 24),
      upstream: view.getInt32(at + 32),
      status: view.getUint16(at + 36),
      outcome: outcomes[view.getUint8(at + 38)] ?? 'broken',
      client: text(view.getUint8(at + 39)),
      method: text(view.getUint8(at + 40)),
      target: text(view.getUint8(at + 41)),
    }
  }
}
