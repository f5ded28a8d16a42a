import { closeSync, openSync, write, writeSync } from 'node:fs'
import { AccessLog } from '../proxy/http/proxyLog.ts'
import { LogLines } from '../proxy/http/proxyLogLines.ts'

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
  readonly #lines = new LogLines()
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
    const lines = this.#drain()
    if (lines.length === 0) return
    this.#isWriting = true
    write(this.#descriptor, lines, () => (this.#isWriting = false))
  }

  close(): void {
    clearInterval(this.#timer)
    writeSync(this.#descriptor, this.#drain())
    closeSync(this.#descriptor)
  }

  /** What has come; the bytes are used again for what comes next. */
  #drain(): Uint8Array {
    let lost = 0
    this.#lines.clear()
    for (const log of this.#logs)
      lost += log.drain((record) =>
        this.#lines.add(record, record.upstream < 0 ? '-' : this.#nameOf(record.upstream)),
      )
    if (lost > 0) this.#lost(lost)
    return this.#lines.bytes
  }
}
