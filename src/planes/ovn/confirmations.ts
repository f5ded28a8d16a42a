import type { ServiceId } from '../../model/names.ts'
import type { Change, Confirmation, VirtualService } from '../plane.ts'
import { News } from './news.ts'

/** How far OVN has come: numbers of NB_Global and of each chassis. */
export interface Progress {
  /** Of northd. */
  readonly sb: number
  /** Of the slowest chassis. */
  readonly hv: number
  /** By name of the chassis; null while the southbound database is not known. */
  readonly chassis: ReadonlyMap<string, number> | null
}

/** What has to follow a change, in the order of its way. */
export function laggards(number: number, { sb, hv, chassis }: Progress): readonly string[] {
  if (hv >= number) return []
  if (sb < number) return ['northd']
  if (chassis === null) return ['the southbound database']
  return [...chassis].flatMap(([name, at]) => (at < number ? [name] : [])).toSorted()
}

type ServiceChange = Change<VirtualService, ServiceId>
type ServiceConfirmation = Confirmation<VirtualService, ServiceId>

/** A change, null of an earlier run, and the number that it gave to NB_Global:nb_cfg. */
interface Numbered {
  readonly change: ServiceChange | null
  readonly number: number
}

interface Pending {
  /** The first that was told, or waits to be, and the last: those between are confirmed with the last. */
  first: Numbered
  last: Numbered
  /** Who lags, as last told. */
  told: string
}

/** Which changes are in force: those whose number hv_cfg has reached. Of a service at most two are kept, however many come. */
export class Confirmations implements AsyncIterable<ServiceConfirmation> {
  readonly #pending = new Map<ServiceId, Pending>()
  /** What was not taken yet by who iterates: the latest of a service. */
  readonly #news = new News<ServiceId, ServiceConfirmation>()
  #least = Infinity

  /** A change was committed under this number. */
  accepted(change: ServiceChange, number: number): void {
    this.#add(change.key, { change, number })
  }

  /** Whatever an earlier run wrote of a service was committed under this number at the latest. */
  earlier(key: ServiceId, number: number): void {
    this.#add(key, { change: null, number })
  }

  #add(key: ServiceId, last: Numbered): void {
    const pending = this.#pending.get(key)
    if (pending === undefined) this.#pending.set(key, { first: last, last, told: '' })
    else pending.last = last
    this.#least = Math.min(this.#least, last.number)
  }

  /** OVN came further. */
  follow({ hv }: Progress): void {
    if (hv < this.#least) return
    this.#least = Infinity
    for (const [key, pending] of this.#pending) {
      const { first, last } = pending
      if (last.number <= hv) {
        this.#pending.delete(key)
        this.#tell(key, last.change, 'applied', [])
        continue
      }
      if (first.number <= hv) {
        pending.first = last
        this.#tell(key, first.change, 'applied', [])
      }
      this.#least = Math.min(this.#least, pending.first.number)
    }
  }

  /** Tells who holds up what is pending, where it is not what was told last. */
  remind(progress: Progress): void {
    const byNumber = new Map<number, readonly string[]>()
    for (const [key, pending] of this.#pending) {
      const { change, number } = pending.last
      const lagging = byNumber.get(number) ?? laggards(number, progress)
      byNumber.set(number, lagging)
      const told = lagging.join(' ')
      if (told === pending.told) continue
      pending.told = told
      this.#tell(key, change, 'accepted', lagging)
    }
  }

  get pending(): number {
    return this.#pending.size
  }

  /** Whoever iterates comes to the end. */
  close(): void {
    this.#news.close()
  }

  [Symbol.asyncIterator](): AsyncGenerator<ServiceConfirmation> {
    return this.#news[Symbol.asyncIterator]()
  }

  #tell(
    key: ServiceId,
    change: ServiceChange | null,
    state: ServiceConfirmation['state'],
    lagging: readonly string[],
  ): void {
    this.#news.tell(key, { key, change, state, lagging })
  }
}
