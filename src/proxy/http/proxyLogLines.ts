import { outcomes } from './policy.ts'
import type { RecordView } from './proxyLog.ts'

/** More than a line has. */
const mostBytes = 512
const space = 0x20
const outcomeTexts = outcomes.map((outcome) => Buffer.from(` ${outcome} `))

/**
 * Lines of an access log, written as bytes into a buffer that is used again:
 *
 *     2026-11-21T17:38:01.723Z 127.0.0.1 GET /path 127.0.0.11:80 200 completed 1.967 0 333
 *
 * (end, client, method, target, instance, status, outcome, milliseconds, bytes of request and response).
 */
export class LogLines {
  #bytes = Buffer.allocUnsafe(1 << 16)
  #end = 0
  #second = -1
  /** The date and time up to the point before the milliseconds. */
  #time = Buffer.from('')

  /** What was written since `clear`; it is overwritten by what comes after that. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#end)
  }

  clear(): void {
    this.#end = 0
  }

  /** @param instance '-' where there was none */
  add(record: RecordView, instance: string): void {
    if (this.#bytes.length - this.#end < mostBytes + instance.length) this.#grow()
    this.#putTime(record.time)
    for (const [from, end] of record.texts) {
      this.#putSpace()
      this.#put(record.bytes, from, end)
    }
    this.#putSpace()
    for (let index = 0; index < instance.length; index++)
      this.#bytes[this.#end++] = instance.charCodeAt(index)
    this.#putSpace()
    this.#putDigits(record.status, 3)
    const outcome = outcomeTexts[record.outcome] ?? outcomeTexts[0]!
    this.#put(outcome, 0, outcome.length)
    const micros = Math.round(record.milliseconds * 1000)
    const whole = Math.floor(micros / 1000)
    this.#putNumber(whole)
    this.#bytes[this.#end++] = 0x2e
    this.#putDigits(micros - whole * 1000, 3)
    this.#putSpace()
    this.#putNumber(record.requestBytes)
    this.#putSpace()
    this.#putNumber(record.responseBytes)
    this.#bytes[this.#end++] = 0x0a
  }

  #putTime(time: number): void {
    const second = Math.floor(time / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#time = Buffer.from(new Date(second * 1000).toISOString().slice(0, -'000Z'.length))
    }
    this.#put(this.#time, 0, this.#time.length)
    this.#putDigits(Math.floor(time - second * 1000), 3)
    this.#bytes[this.#end++] = 0x5a
  }

  #put(bytes: Uint8Array, from: number, end: number): void {
    const into = this.#bytes
    let at = this.#end
    for (let index = from; index < end; index++) into[at++] = bytes[index]!
    this.#end = at
  }

  #putSpace(): void {
    this.#bytes[this.#end++] = space
  }

  /** @param value whole, and 0 or more */
  #putNumber(value: number): void {
    if (value < 10) this.#putDigits(value, 1)
    else if (value > 0x7fffffff) this.#end += this.#bytes.write(String(value), this.#end, 'latin1')
    else {
      let digits = 2
      for (let bound = 100; value >= bound; bound *= 10) digits++
      this.#putDigits(value, digits)
    }
  }

  #putDigits(value: number, digits: number): void {
    let rest = value | 0
    for (let at = this.#end + digits - 1; at >= this.#end; at--) {
      const tenth = (rest / 10) | 0
      this.#bytes[at] = 0x30 + rest - tenth * 10
      rest = tenth
    }
    this.#end += digits
  }

  #grow(): void {
    const larger = Buffer.allocUnsafe(this.#bytes.length * 2)
    this.#bytes.copy(larger, 0, 0, this.#end)
    this.#bytes = larger
  }
}
