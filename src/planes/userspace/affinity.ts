import { networkOf } from '../../model/address.ts'
import { Timed, type Wheel } from '../../proxy/wheel.ts'
import type { Places } from './places.ts'
import type { Member } from './roster.ts'

/** Which backend a client's network has, as IPVS's connection templates have it; it lasts while connections do, and then the time-out. */
export class Template extends Timed {
  member: Member
  readonly #key: string
  readonly #affinity: Affinity
  #open = 0
  #used: number

  constructor(affinity: Affinity, key: string, member: Member) {
    super()
    this.#affinity = affinity
    this.#key = key
    this.member = member
    this.#used = affinity.wheel.now
  }

  opened(): void {
    this.#open++
    this.#used = this.#affinity.wheel.now
  }

  closed(): void {
    this.#open--
    this.#used = this.#affinity.wheel.now
  }

  override dueAt(): number {
    return (this.#open > 0 ? this.#affinity.wheel.now : this.#used) + this.#affinity.timeoutMs
  }

  override expire(): void {
    this.#affinity.forget(this.#key, this)
  }
}

/** Source affinity of one service. The places are the plane's; where none is left, the service's oldest template goes. */
export class Affinity {
  readonly timeoutMs: number
  readonly wheel: Wheel
  readonly #prefix: number
  readonly #places: Places
  readonly #templates = new Map<string, Template>()

  constructor(
    persistence: { readonly timeout: number; readonly prefix: number },
    wheel: Wheel,
    places: Places,
  ) {
    this.timeoutMs = persistence.timeout * 1000
    this.wheel = wheel
    this.#prefix = persistence.prefix
    this.#places = places
  }

  get size(): number {
    return this.#templates.size
  }

  find(client: string): Template | undefined {
    return this.#templates.get(networkOf(client, this.#prefix))
  }

  /** Gives the client's network to the member. null: there is no place, so this connection leaves no trace. */
  set(client: string, member: Member): Template | null {
    const key = networkOf(client, this.#prefix)
    const known = this.#templates.get(key)
    if (known !== undefined) {
      known.member = member
      return known
    }
    if (!this.#places.take(1)) {
      const [oldest] = this.#templates
      if (oldest === undefined) return null
      this.wheel.remove(oldest[1])
      this.forget(...oldest)
      this.#places.take(1)
    }
    const template = new Template(this, key, member)
    this.#templates.set(key, template)
    this.wheel.add(template)
    return template
  }

  forget(key: string, template: Template): void {
    if (this.#templates.get(key) !== template) return
    this.#templates.delete(key)
    this.#places.give(1)
  }

  clear(): void {
    for (const template of this.#templates.values()) this.wheel.remove(template)
    this.#places.give(this.#templates.size)
    this.#templates.clear()
  }
}
