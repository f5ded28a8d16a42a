import type { PlaneName } from '../model/names.ts'
import type { Plane } from '../planes/plane.ts'
import type { Log } from './events.ts'

const firstMs = 1000
const lastMs = 5000

export interface OpeningOptions {
  readonly planes: ReadonlyMap<PlaneName, Plane>
  readonly defaultPlane: PlaneName
  /** Opens a plane and takes up what it holds. */
  readonly open: (name: PlaneName, plane: Plane) => Promise<void>
  readonly log: Log
}

/** Opens the planes. One beside the default plane that cannot be opened holds up no other: it is tried again until it can. */
export class Opening {
  /** Planes that are not open yet, and why. */
  readonly unopened = new Map<PlaneName, string>()
  readonly #options: OpeningOptions
  #opened: (name: PlaneName, plane: Plane) => void = () => {}
  #timer: NodeJS.Timeout | null = null
  #trying: Promise<void> = Promise.resolve()
  #tries = 0
  #closed = false

  constructor(options: OpeningOptions) {
    this.#options = options
  }

  /** The first try of all. @throws Refusal where the default plane cannot be opened */
  async begin(): Promise<void> {
    const { planes, defaultPlane, open } = this.#options
    for (const [name, plane] of planes) {
      if (name === defaultPlane) await open(name, plane)
      else await this.#try(name, plane)
    }
  }

  /** The further tries. @param opened is told of each plane that is open at last */
  follow(opened: (name: PlaneName, plane: Plane) => void): void {
    this.#opened = opened
    this.#later()
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#trying
  }

  #later(): void {
    if (this.#closed || this.unopened.size === 0) return
    this.#timer = setTimeout(
      () => {
        this.#trying = this.#tryAgain().finally(() => this.#later())
      },
      Math.min(lastMs, firstMs * 2 ** this.#tries++),
    )
  }

  async #tryAgain(): Promise<void> {
    const { planes, log } = this.#options
    for (const [name, plane] of planes) {
      if (this.#closed || !this.unopened.has(name) || !(await this.#try(name, plane))) continue
      log.info({ plane: name }, 'the plane is open now')
      this.#opened(name, plane)
    }
  }

  async #try(name: PlaneName, plane: Plane): Promise<boolean> {
    const { open, log } = this.#options
    try {
      await open(name, plane)
      this.unopened.delete(name)
      return true
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      if (this.unopened.get(name) !== why)
        log.warn(
          { plane: name },
          `the plane cannot be opened, which is tried again every ${lastMs / 1000} s; the others go on without it: ${why}`,
        )
      this.unopened.set(name, why)
      return false
    }
  }
}
