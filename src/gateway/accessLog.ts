import { closeSync, openSync, write, writeSync } from 'node:fs'
import { AccessLog, type AccessRecord } from '../proxy/http/proxyLog.ts'

/** Requests of one Worker that are kept until they are written: those of a fifth of a second at 80,000 a second. */
const records = 16_384
const everyMs = 200

/** Access logs of Workers, written together to one file from time to time, away from the path of requests. */
export class AccessLogFile {
  readonly #path: string
  readonly #logs: readonly AccessLog[]
  readonly #nameOf: (upstream: number) => string
  readonly #lost: (records: number) => void
  readonly #timer: NodeJS.Timeout
  #descriptor: number
  #isWriting = false

  /**
   * @param nameOf the instance behind a number
   * @param lost records came faster than they could be written
   * @throws the system's error where the file cannot be opened
   */
  constructor(
    path: string,
    workers: number,
    nameOf: (upstream: number) => string,
    lost: (records: number) => void,
  ) {
    this.#path = path
    this.#logs = Array.from({ length: workers }, () => new AccessLog(records))
    this.#nameOf = nameOf
    this.#lost = lost
    this.#descriptor = openSync(path, 'a', 0o640)
    this.#timer = setInterval(() => this.flush(), everyMs)
  }

  /** Of each Worker. */
  get memories(): readonly SharedArrayBuffer[] {
    return this.#logs.map(({ memory }) => memory)
  }

  /** Opens the file anew: what rotates logs has moved it away. */
  reopen(): void {
    const descriptor = openSync(this.#path, 'a', 0o640)
    closeSync(this.#descriptor)
    this.#descriptor = descriptor
  }

  /** Writes what there is, unless the disk still has the last of it to take. */
  flush(): void {
    if (this.#isWriting) return
    const text = this.#text()
    if (text === '') return
    this.#isWriting = true
    write(this.#descriptor, text, () => (this.#isWriting = false))
  }

  close(): void {
    clearInterval(this.#timer)
    writeSync(this.#descriptor, this.#text())
    closeSync(this.#descriptor)
  }

  #text(): string {
    let text = ''
    let lost = 0
    for (const log of this.#logs) lost += log.drain((record) => (text += this.#line(record)))
    if (lost > 0) this.#lost(lost)
    return text
  }

  #line(record: AccessRecord): string {
    const { upstream, outcome, status } = record
    const instance = upstream < 0 ? '-' : this.#nameOf(upstream)
    return `${new Date(record.time).toISOString()} ${record.client} ${record.method} ${record.target} ${instance} ${status} ${outcome} ${record.milliseconds.toFixed(3)} ${record.requestBytes} ${record.responseBytes}\n`
  }
}
