import { setTimeout as sleep } from 'node:timers/promises'
import { functionPrefix } from '../../model/function.ts'
import type { EtcdAccess } from './access.ts'
import { EtcdConnection, EtcdError } from './connection.ts'
import { behind, prefixRange, readRange, readWatch, type RangePage } from './wire.ts'
import type { Change, Pair, Snapshot, Zone } from './zone.ts'

const pageKeys = 500
/** What the watch may be behind an answer. */
const watchLagMs = 1000

export interface Following {
  /** starting: nothing was loaded yet. current: connected, and proven. stale: etcd does not answer. */
  readonly state: 'starting' | 'current' | 'stale'
  /** Of the member in use, or of the last one. */
  readonly endpoint: string
  /** When etcd last proved that all of it is known, milliseconds since the epoch; 0: never. */
  readonly provenAt: number
  /** Why it is not current; '' where it is. */
  readonly message: string
}

export interface FollowerOptions {
  readonly zone: string
  readonly known: Zone
  readonly urls: readonly URL[]
  readonly access: EtcdAccess
  /** How often etcd is asked whether all that it has is known. */
  readonly proofMs: number
  /** How often a held loss is looked at again. */
  readonly holdMs: number
  readonly changed: (changes: readonly Change[]) => void
  /** The standing changed, or was proven anew. */
  readonly stood: () => void
  readonly now: () => number
  readonly random: () => number
}

/**
 * Keeps what is known of a zone as etcd has it, over lost connections, compactions and members that are behind.
 *
 *     endpoint ─► what has it? ─► load if nothing is known, it was compacted or is another ─► watch ─┐
 *        ▲                                        ▲          every 3 s: is all of it known? ◄────────┤
 *        └── next one, with back-off ◄── no answer│                            no ─► load ◄──────────┘
 */
export class Follower {
  readonly #options: FollowerOptions
  readonly #range: { readonly key: string; readonly range_end: string }
  readonly #ended = new AbortController()
  readonly #running: Promise<void>
  #following: Following = { state: 'starting', endpoint: '', provenAt: 0, message: '' }
  #failures = 0
  #mustLoad = true
  #loadedAt = 0

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#range = prefixRange(functionPrefix(options.zone))
    this.#running = this.#run()
  }

  get following(): Following {
    return this.#following
  }

  async close(): Promise<void> {
    this.#ended.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { urls, access, random } = this.#options
    const { signal } = this.#ended
    for (let turn = Math.floor(random() * urls.length); !signal.aborted;) {
      const url = urls[turn % urls.length]
      if (url === undefined) return
      try {
        using connection = await EtcdConnection.open(url, access, signal)
        await this.#session(connection, url.host)
        this.#failures++
      } catch (error) {
        if (signal.aborted) return
        this.#failures++
        turn++
        const message = error instanceof Error ? error.message : String(error)
        this.#stand({ state: this.#following.provenAt === 0 ? 'starting' : 'stale', message })
      }
      await sleep(retryDelay(this.#failures, urls.length, random), undefined, { signal }).catch(() => {})
    }
  }

  /** Follows one member until something must be loaded anew. @throws where the member is of no use any more */
  async #session(connection: EtcdConnection, endpoint: string): Promise<void> {
    const { known } = this.#options
    const ended = new AbortController()
    const signal = AbortSignal.any([ended.signal, this.#ended.signal])
    if (this.#mustLoad || known.isAnother(await this.#newest(connection, signal))) {
      await this.#load(connection, signal)
    }
    const created = Promise.withResolvers<void>()
    const parts = [
      this.#watch(connection, signal, created.resolve),
      created.promise.then(() => this.#prove(connection, endpoint, signal)),
    ]
    try {
      await Promise.race(parts)
    } finally {
      ended.abort()
      created.resolve()
      await Promise.allSettled(parts)
    }
  }

  /** All keys of the zone at the revision of the first page. */
  async #load(connection: EtcdConnection, signal: AbortSignal): Promise<void> {
    const { known, now, changed } = this.#options
    const began = now()
    const { revision: before } = known
    const first = await this.#page(connection, signal, {})
    const pairs: Pair[] = [...first.pairs]
    for (let page = first; page.more;) {
      const last = page.pairs.at(-1)
      if (last === undefined) break
      page = await this.#page(connection, signal, { key: behind(last.key), revision: String(first.revision) })
      pairs.push(...page.pairs)
    }
    // The watch went on meanwhile and is ahead of it.
    if (known.revision !== before && known.revision > first.revision) return
    const snapshot: Snapshot = { clusterId: first.clusterId, revision: first.revision, pairs }
    changed(known.load(snapshot, now()))
    this.#mustLoad = false
    this.#loadedAt = began
    this.#following = { ...this.#following, provenAt: began }
  }

  async #page(connection: EtcdConnection, signal: AbortSignal, from: object): Promise<RangePage> {
    const asked = { ...this.#range, limit: String(pageKeys), ...from }
    return readRange(await connection.call('/v3/kv/range', asked, signal))
  }

  /** How many keys there are, and the one that changed last; of the whole cluster, not of a member that is behind. */
  async #newest(connection: EtcdConnection, signal: AbortSignal): Promise<RangePage> {
    const asked = { ...this.#range, limit: '1', keys_only: true, sort_target: 'MOD', sort_order: 'DESCEND' }
    return readRange(await connection.call('/v3/kv/range', asked, signal))
  }

  async #watch(connection: EtcdConnection, signal: AbortSignal, created: () => void): Promise<void> {
    const { known, now, changed } = this.#options
    const asked = { ...this.#range, start_revision: String(known.revision + 1), progress_notify: true }
    for await (const text of connection.stream('/v3/watch', { create_request: asked }, signal)) {
      const { canceled, compactRevision, events, revision, ...said } = readWatch(text)
      if (compactRevision > 0) {
        this.#mustLoad = true
        return
      }
      if (canceled !== null)
        throw new EtcdError(`etcd ended the watch (${canceled || 'without a reason'})`, null)
      if (said.created) created()
      else if (events.length === 0) known.progress(revision)
      else changed(known.events(events, now()))
    }
    throw new EtcdError('etcd ended the watch', null)
  }

  /** Asks again and again whether all that etcd has is known; returns where it is not. */
  async #prove(connection: EtcdConnection, endpoint: string, signal: AbortSignal): Promise<void> {
    const { known, now, random, holdMs, proofMs } = this.#options
    while (!signal.aborted) {
      const asked = now()
      if (known.held !== null && asked - this.#loadedAt >= holdMs) await this.#load(connection, signal)
      const newest = await this.#newest(connection, signal)
      if (!this.#isKnown(newest)) await sleep(watchLagMs, undefined, { signal })
      if (!this.#isKnown(newest)) this.#mustLoad = true
      if (this.#mustLoad) return
      known.progress(newest.revision)
      this.#failures = 0
      this.#stand({ state: 'current', endpoint, provenAt: asked, message: '' })
      await sleep(proofMs * (0.8 + 0.2 * random()), undefined, { signal })
    }
  }

  #isKnown({ revision, count, pairs }: RangePage): boolean {
    const { known } = this.#options
    // A watch tells in order: what brought something later has brought all before.
    if (known.revision > revision) return true
    const { keys, newest } = known.extent
    return keys === count && (pairs[0]?.modRevision ?? newest) === newest
  }

  #stand(change: Partial<Following>): void {
    this.#following = { ...this.#following, ...change }
    this.#options.stood()
  }
}

/** Milliseconds until the next try: none while there is a member that was not asked, then doubled from 250 ms up to 5 s, less up to a half. */
export function retryDelay(failures: number, members: number, random: () => number): number {
  const rounds = Math.floor(failures / members)
  if (failures <= members) return 0
  return Math.min(5000, 250 * 2 ** (rounds - 1)) * (0.5 + random() / 2)
}
