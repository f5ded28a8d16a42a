import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a member may take until it serves, and a cluster until it has a leader. */
const startLimitMs = 30_000
/** Of what a member writes to standard error the last so many characters are kept. */
const logLimit = 10_000

interface Member {
  process: ChildProcess | null
  log: string
}

/** Real servers of one cluster, in a directory of their own. They end with this process. */
export abstract class Cluster implements AsyncDisposable {
  protected readonly directory: string
  readonly #members: readonly Member[]

  /** @param directory of `clusterDirectory`; it goes with the cluster */
  protected constructor(directory: string, members: number) {
    this.directory = directory
    this.#members = Array.from({ length: members }, () => ({ process: null, log: '' }))
    process.once('exit', this.#killAll)
  }

  /** Starts the program of the member at `index`, whose standard error is a pipe. */
  protected abstract spawn(index: number): ChildProcess
  /** Asks the member at `index`, which has just been started. @throws as long as it does not serve */
  protected abstract probe(index: number): Promise<void>
  /** What to say of the member at `index` where it does not come up. */
  protected abstract failure(index: number): string
  /** Between two probes. */
  protected abstract readonly probeEveryMs: number

  /** Starts the members that do not run, or the one at `index`, and waits until they serve. */
  async start(index?: number): Promise<void> {
    const started = this.#chosen(index).filter((chosen) => !this.isStarted(chosen))
    for (const chosen of started) this.#launch(chosen)
    await Promise.all(started.map((chosen) => this.#serves(chosen)))
  }

  /** Starts all. @throws Error with the log of one that does not come up; nothing stays behind */
  protected async started(): Promise<this> {
    try {
      await this.start()
      return this
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Ends all members, or the one at `index`, as a power cut would. */
  async kill(index?: number): Promise<void> {
    await Promise.all(
      this.#chosen(index).map(async (chosen) => {
        const member = this.#at(chosen)
        const child = member.process
        member.process = null
        if (child === null || child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      }),
    )
  }

  /** Holds the member at `index` up, as an overloaded machine would, until `resume`. */
  pause(index = 0): void {
    this.#at(index).process?.kill('SIGSTOP')
  }

  resume(index = 0): void {
    this.#at(index).process?.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#killAll)
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }

  /** False: it was not started yet, or was killed. */
  protected isStarted(index: number): boolean {
    return this.#at(index).process !== null
  }

  readonly #killAll = (): void => {
    for (const { process } of this.#members) process?.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  #chosen(index: number | undefined): number[] {
    return index === undefined ? [...this.#members.keys()] : [index]
  }

  #at(index: number): Member {
    const member = this.#members[index]
    if (member === undefined) throw new RangeError(`the cluster has no member ${index}`)
    return member
  }

  #launch(index: number): void {
    const member = this.#at(index)
    const child = this.spawn(index)
    member.process = child
    member.log = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      member.log = `${member.log}${text}`.slice(-logLimit)
    })
  }

  async #serves(index: number): Promise<void> {
    const until = Date.now() + startLimitMs
    const member = this.#at(index)
    for (;;) {
      try {
        await this.probe(index)
        return
      } catch (error) {
        if (member.process?.exitCode !== null || Date.now() > until)
          throw new Error(`${this.failure(index)}; its log:\n${member.log}`, { cause: error })
        await sleep(this.probeEveryMs)
      }
    }
  }
}

/** A fresh directory for a cluster. */
export const clusterDirectory = (prefix: string): string => mkdtempSync(join(tmpdir(), prefix))
