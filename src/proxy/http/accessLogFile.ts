import { closeSync, openSync, write } from 'node:fs'
import { complaints } from '../../model/complaints.ts'
import { AccessLog } from './proxyLog.ts'
import { LogLines } from './proxyLogLines.ts'

/** Requests of one thread that are kept until they are written: those of a fifth of a second at 80,000 a second. */
const records = 16_384
/** Often, so that the same few records are written again and again and stay in the cache. */
const everyMs = 50

export interface AccessLogFileOptions {
  readonly path: string
  readonly workers: number
  /** The instance behind a number. */
  readonly nameOf: (upstream: number) => string
  /** Lines are missing in the file, and why. */
  readonly complain: (text: string) => void
}

/** Access logs of threads, written together to one file from time to time, away from the path of requests. */
export class AccessLogFile {
  readonly #options: AccessLogFileOptions
  readonly #logs: readonly AccessLog[]
  readonly #timer: NodeJS.Timeout
  readonly #lines = new LogLines()
  #descriptor: number
  #writing: Promise<void> | null = null
  readonly #isComplaintDue = complaints(() => performance.now())

  /** @throws the system's error where the file cannot be opened */
  constructor(options: AccessLogFileOptions) {
    this.#options = options
    this.#logs = Array.from({ length: options.workers }, () => new AccessLog(records))
    this.#descriptor = openSync(options.path, 'a', 0o640)
    this.#timer = setInterval(() => this.flush(), everyMs)
  }

  /** Of each thread. */
  get memories(): readonly SharedArrayBuffer[] {
    return this.#logs.map(({ memory }) => memory)
  }

  /** Opens the file anew: what rotates logs has moved it away. @throws the system's error; the old one stays in use */
  reopen(): void {
    const old = this.#descriptor
    this.#descriptor = openSync(this.#options.path, 'a', 0o640)
    void (this.#writing ?? Promise.resolve()).then(() => closeSync(old))
  }

  /** Writes what there is, unless the disk still has the last of it to take. */
  flush(): void {
    if (this.#writing !== null) return
    const lines = this.#drain()
    if (lines.length > 0) this.#writing = this.#write(lines).finally(() => (this.#writing = null))
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writing
    await this.#write(this.#drain())
    closeSync(this.#descriptor)
  }

  /** What the file does not take is lost: requests are not to wait for a disk. */
  #write(lines: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      write(this.#descriptor, lines, (error, written) => {
        if (error !== null) this.#complain(`the access log cannot be written: ${error.message}`)
        else if (written < lines.length)
          this.#complain('the access log was written in part: is its disk full?')
        resolve()
      })
    })
  }

  /** What has come; the bytes are used again for what comes next. */
  #drain(): Uint8Array {
    const { nameOf } = this.#options
    let lost = 0
    this.#lines.clear()
    for (const log of this.#logs)
      lost += log.drain((record) =>
        this.#lines.add(record, record.upstream < 0 ? '-' : nameOf(record.upstream)),
      )
    if (lost > 0)
      this.#complain(
        `the access log could not keep up and lacks ${lost} requests: log one of several with --access-log-every`,
      )
    return this.#lines.bytes
  }

  #complain(text: string): void {
    if (this.#isComplaintDue() !== null) this.#options.complain(text)
  }
}
