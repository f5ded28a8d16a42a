import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { failed } from './exit.ts'

const main = fileURLToPath(new URL('main.ts', import.meta.url))

/** A `torb` of its own process that has said that it is ready. */
export interface Child {
  readonly pid: number
  /** The line by which it said so. */
  readonly ready: string
  /** Ends it by its pid and waits until it is gone. */
  end(signal: NodeJS.Signals): Promise<void>
}

/** Child processes that never outlive this one: they are ended by pid, also when it fails or is interrupted. */
export class Children {
  readonly #running = new Set<ChildProcess>()
  readonly #onExit = (): void => {
    for (const child of this.#running) child.kill('SIGKILL')
  }

  constructor() {
    process.on('exit', this.#onExit)
  }

  /**
   * Runs `torb` with these arguments and waits for its ready line.
   *
   * @param onLine takes the further lines of its standard output
   * @param script another program than `torb`
   */
  async start(
    args: readonly string[],
    onLine: (line: string) => void = () => {},
    script = main,
  ): Promise<Child> {
    const flags = ['--disable-warning=ExperimentalWarning', script, ...args]
    const child = spawn(process.execPath, flags, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#running.add(child)
    const gone = new Promise<void>((resolve) => {
      child.once('close', () => {
        this.#running.delete(child)
        resolve()
      })
    })
    const errors: string[] = []
    createInterface(child.stderr).on('line', (line) => {
      errors.push(line)
      if (errors.length > 20) errors.shift()
    })
    const ready = await new Promise<string>((resolve, reject) => {
      let isReady = false
      createInterface(child.stdout).on('line', (line) => {
        if (isReady) onLine(line)
        else if (/ ready /.test(line)) {
          isReady = true
          resolve(line)
        }
      })
      child.once('error', reject)
      void gone.then(() => {
        reject(
          failed(
            `torb ${args.join(' ')} ended before it was ready: ${errors.join('\n') || 'it said nothing'}`,
          ),
        )
      })
    })
    return {
      pid: child.pid ?? 0,
      ready,
      end: async (signal) => {
        child.kill(signal)
        await gone
      },
    }
  }

  /** Ends all that still run: asks first, and insists after a while. */
  async endAll(): Promise<void> {
    const insist = setTimeout(this.#onExit, 5000)
    const gone = [...this.#running].map(
      async (child) => await new Promise<void>((resolve) => child.once('close', () => resolve())),
    )
    for (const child of this.#running) child.kill('SIGTERM')
    await Promise.all(gone)
    clearTimeout(insist)
    process.off('exit', this.#onExit)
  }
}
