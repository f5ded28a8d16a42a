import { type ExchangeEnd, type Outcome, outcomes } from './policy.ts'

/** Bytes of a target that are logged. */
export const targetLimit = 128
/** The longest address: IPv6 with an IPv4 tail. */
export const addressLimit = 45

/** Words of the header: how many records were written and read, and the number of the one at the beginning. */
const writtenAt = 0
const readAt = 1
const firstAt = 2
const headerBytes = 16
/** time 0, milliseconds 8, request bytes 16, response bytes 24, upstream 32, status 36, outcome 38, lengths 39 to 41. */
const textsAt = 42
const methodLimit = 16
/** The longest texts, and up to a whole word. */
const textsBytes = (addressLimit + methodLimit + targetLimit + 3) & ~3
const recordBytes = 240
const completed = outcomes.indexOf('completed')

/** One request, as it lies in the log: to be read before the next one is asked for. */
export interface RecordView {
  /** Its end, in milliseconds since 1970. */
  readonly time: number
  readonly milliseconds: number
  readonly requestBytes: number
  readonly responseBytes: number
  /** -1: none was chosen, and the policy has no number for that (`unservedAs`). */
  readonly upstream: number
  readonly status: number
  /** Index of `outcomes`. */
  readonly outcome: number
  /** Where its texts lie in `bytes`: client, method, target. */
  readonly texts: readonly (readonly [from: number, end: number])[]
  readonly bytes: Uint8Array
}

/** The same with its texts. */
export interface AccessRecord extends Omit<RecordView, 'outcome' | 'texts' | 'bytes'> {
  readonly client: string
  readonly method: string
  readonly target: string
  readonly outcome: Outcome
}

/** Text that a record is made with: kept from the head until the request has ended. */
export class LoggedText {
  /** With room for the last word of a copy. */
  readonly bytes = new Uint8Array(textsBytes)
  readonly view = new DataView(this.bytes.buffer)
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
  readonly #header: Int32Array
  readonly #view: DataView
  readonly #bytes: Uint8Array
  readonly #record: Record
  #at = 0
  #first = 0
  #read = 0

  /** @param memory of another thread's AccessLog, or how many records to hold: a power of two */
  constructor(memory: SharedArrayBuffer | number) {
    this.memory =
      typeof memory === 'number' ? new SharedArrayBuffer(headerBytes + memory * recordBytes) : memory
    this.#records = Math.floor((this.memory.byteLength - headerBytes) / recordBytes)
    if ((this.#records & (this.#records - 1)) !== 0)
      throw new RangeError(`an access log of ${this.#records} records: take a power of two`)
    this.#header = new Int32Array(this.memory, 0, headerBytes / Int32Array.BYTES_PER_ELEMENT)
    this.#view = new DataView(this.memory, headerBytes)
    this.#bytes = new Uint8Array(this.memory, headerBytes)
    this.#record = new Record(this.#view, this.#bytes)
  }

  /** Called by one thread only. @param upstream by which it is read, where that is not the one it went to */
  write(time: number, text: LoggedText, end: ExchangeEnd, upstream = end.upstream): void {
    // What was read is not needed any more: memory that is used again at once stays in the cache.
    if (Atomics.load(this.#header, readAt) === this.#at && this.#first !== this.#at) {
      this.#first = this.#at
      Atomics.store(this.#header, firstAt, this.#at)
    }
    const at = this.#placeOf(this.#at, this.#first)
    const view = this.#view
    view.setFloat64(at, time)
    view.setFloat64(at + 8, end.milliseconds)
    view.setFloat64(at + 16, end.requestBytes)
    view.setFloat64(at + 24, end.responseBytes)
    view.setInt32(at + 32, upstream)
    view.setUint16(at + 36, end.status)
    view.setUint8(at + 38, end.outcome === 'completed' ? completed : outcomes.indexOf(end.outcome))
    view.setUint8(at + 39, text.client)
    view.setUint8(at + 40, text.method)
    view.setUint8(at + 41, text.target)
    const length = text.client + text.method + text.target
    for (let index = 0; index < length; index += 4)
      view.setInt32(at + textsAt + index, text.view.getInt32(index))
    this.#at = (this.#at + 1) | 0
    // Makes what was written above visible.
    Atomics.store(this.#header, writtenAt, this.#at)
  }

  #placeOf(record: number, first: number): number {
    return ((record - first) & (this.#records - 1)) * recordBytes
  }

  /** Calls with each record since the last time. @returns how many were lost, because they came faster than they were read */
  drain(each: (record: RecordView) => void): number {
    const written = Atomics.load(this.#header, writtenAt)
    // It only changes while everything was read.
    const first = Atomics.load(this.#header, firstAt)
    const fresh = (written - this.#read) >>> 0
    const lost = Math.max(0, fresh - this.#records)
    for (let left = fresh - lost; left > 0; left--) {
      this.#record.show(this.#placeOf(written - left, first))
      each(this.#record)
    }
    this.#read = written
    Atomics.store(this.#header, readAt, written)
    return lost
  }
}

/** A record where it lies. */
class Record implements RecordView {
  time = 0
  milliseconds = 0
  requestBytes = 0
  responseBytes = 0
  upstream = -1
  status = 0
  outcome = 0
  readonly texts: [number, number][] = [
    [0, 0],
    [0, 0],
    [0, 0],
  ]
  readonly bytes: Uint8Array
  readonly #view: DataView

  constructor(view: DataView, bytes: Uint8Array) {
    this.#view = view
    this.bytes = bytes
  }

  show(at: number): void {
    const view = this.#view
    this.time = view.getFloat64(at)
    this.milliseconds = view.getFloat64(at + 8)
    this.requestBytes = view.getFloat64(at + 16)
    this.responseBytes = view.getFloat64(at + 24)
    this.upstream = view.getInt32(at + 32)
    this.status = view.getUint16(at + 36)
    this.outcome = view.getUint8(at + 38)
    let from = at + textsAt
    for (let text = 0; text < this.texts.length; text++) {
      const span = this.texts[text]!
      span[0] = from
      from += view.getUint8(at + 39 + text)
      span[1] = from
    }
  }
}

/** What a record says, for as long as one likes. */
export function readRecord(record: RecordView): AccessRecord {
  const { bytes, texts, time, milliseconds, requestBytes, responseBytes, upstream, status } = record
  const [client = '', method = '', target = ''] = texts.map(([from, end]) =>
    Buffer.from(bytes.slice(from, end)).toString('latin1'),
  )
  const outcome = outcomes[record.outcome] ?? 'broken'
  return {
    time,
    client,
    method,
    target,
    upstream,
    status,
    outcome,
    milliseconds,
    requestBytes,
    responseBytes,
  }
}
