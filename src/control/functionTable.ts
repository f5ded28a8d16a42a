import { isDeepStrictEqual } from 'node:util'
import { canonicalAddress, familyOf } from '../model/address.ts'
import {
  parseStoredFunction,
  patchFunction,
  readNamedFunction,
  readInstance,
  type FunctionBody,
  type FunctionName,
  type FunctionPatchBody,
  type FunctionSpec,
} from '../model/function.ts'
import { invalid, Refusal, unknown } from '../model/refusal.ts'
import { StoreFull, type Store } from '../store/store.ts'
import { ownListener } from './addresses.ts'
import type { EventLog } from './events.ts'
import {
  functionOwners,
  type FunctionChange,
  type FunctionClaim,
  type FunctionOwner,
  type FunctionSource,
  type FunctionTarget,
  type PublishedFunction,
  type PublishedInstance,
  type RejectedKey,
  type SourceState,
  type SourceStatus,
} from './functions.ts'
import { HostAddresses } from './hostAddresses.ts'
import { Overlays } from './overlays.ts'

export interface FunctionTableOptions {
  readonly store: Store
  /** Own zone first. */
  readonly zones: readonly string[]
  readonly target: FunctionTarget
  readonly events: EventLog
  readonly now: () => number
  /** The first address of a DNS name. */
  readonly resolve: (name: string) => Promise<string>
  readonly isOwnListener: (address: string, port: number) => boolean
}

type Layer = Map<FunctionName, FunctionSpec>

interface Place {
  readonly owner: FunctionOwner
  readonly zone: string
  readonly layer: Layer
}

const bucket = 'function'
/** Functions in one change: what a thread that carries requests takes in without standing still for long. */
const mostAtOnce = 100

/** All functions by source, and what is in force of them. */
export class FunctionTable {
  readonly #options: FunctionTableOptions
  /** In the order of precedence. */
  readonly #places: readonly Place[]
  readonly #inForce = new Map<FunctionName, PublishedFunction>()
  readonly #rejected = new Map<string, RejectedKey>()
  readonly #sources = new Map<FunctionOwner, { state: SourceState; message: string; currentAt: number }>()
  readonly #addresses: HostAddresses
  readonly #overlays: Overlays
  /** Functions in force by the DNS names in them. */
  readonly #byHost = new Map<string, Set<FunctionName>>()
  readonly #dirty = new Set<FunctionName>()
  #publishing: Promise<void> | null = null
  /** REST writes are decided and stored one after the other. */
  #writes: Promise<void> = Promise.resolve()

  private constructor(options: FunctionTableOptions) {
    this.#options = options
    this.#places = functionOwners.flatMap((owner): Place[] =>
      owner === 'etcd'
        ? options.zones.map((zone) => ({ owner, zone, layer: new Map() }))
        : [{ owner, zone: '', layer: new Map() }],
    )
    this.#addresses = new HostAddresses(options.resolve, (host) => {
      for (const name of this.#byHost.get(host) ?? []) this.#touch(name)
    })
    this.#overlays = new Overlays(options.now, (name) => this.#touch(name))
  }

  /** With the functions that REST left in the store. @throws Error that names the row that cannot be read */
  static async open(options: FunctionTableOptions): Promise<FunctionTable> {
    const table = new FunctionTable(options)
    for (const [name, text] of await options.store.load(bucket)) {
      table.#layer('rest').set(name, parseStoredFunction(name, text))
      table.#touch(name)
    }
    await table.published()
    return table
  }

  /** The face for the source `owner`. */
  source(owner: Exclude<FunctionOwner, 'rest'>): FunctionSource {
    const status = { state: 'starting' as SourceState, message: '', currentAt: 0 }
    this.#sources.set(owner, status)
    const known = (key: string): string => `${owner} ${key}`
    const reject = (key: string, reason: string): void => {
      const since = this.#rejected.get(known(key))?.since ?? this.#options.now()
      if (this.#rejected.get(known(key))?.reason !== reason)
        this.#options.events.record({
          at: this.#options.now(),
          type: 'function-rejected',
          source: owner,
          key,
          reason,
        })
      this.#rejected.set(known(key), { owner, key, reason, since })
    }
    return {
      held: (zone) => this.#layer(owner, zone),
      put: (key, zone, name, spec) => {
        const own = spec.ips.find((text) => this.#isOwn(text))
        if (own !== undefined) {
          reject(key, ownApi(own))
          return
        }
        this.#rejected.delete(known(key))
        this.#layer(owner, zone).set(name, spec)
        this.#touch(name)
      },
      remove: (key, zone, name) => {
        this.#rejected.delete(known(key))
        if (this.#layer(owner, zone).delete(name)) this.#touch(name)
      },
      reject,
      settle: (key) => void this.#rejected.delete(known(key)),
      report: (state, message) => {
        const at = this.#options.now()
        // A start in vain is news too, and what is held; other messages of one trouble, such as of each member, are not.
        const isNews = message !== status.message && (status.message === '' || state === 'held')
        if (state !== status.state || isNews)
          this.#options.events.record({ at, type: 'source-changed', source: owner, state, message })
        status.state = state
        status.message = message
        if (state === 'current') status.currentAt = at
      },
    }
  }

  /** @throws Refusal where `replaceConfigured` would not take these */
  checkConfigured(functions: ReadonlyMap<FunctionName, FunctionSpec>): void {
    for (const [name, spec] of functions) {
      const own = spec.ips.find((text) => this.#isOwn(text))
      if (own !== undefined) throw invalid(`function "${name}": ${ownApi(own)}`)
    }
  }

  /** Makes the file's functions those of the configuration: all of them, or none. */
  replaceConfigured(functions: ReadonlyMap<FunctionName, FunctionSpec>): void {
    this.checkConfigured(functions)
    const layer = this.#layer('file')
    for (const name of layer.keys()) {
      if (functions.has(name)) continue
      layer.delete(name)
      this.#touch(name)
    }
    for (const [name, spec] of functions) {
      // One that stayed as it was keeps its overlay, and is no news.
      if (isDeepStrictEqual(layer.get(name), spec)) continue
      layer.set(name, spec)
      this.#touch(name)
    }
  }

  /** Creates or replaces what REST says of a function. Resolves when it is durable and in force. */
  put(name: FunctionName, body: FunctionBody): Promise<void> {
    return this.#write(name, () => readNamedFunction(name, body))
  }

  /** Fields given replace, fields absent stay as they are in force. */
  patch(name: FunctionName, patch: FunctionPatchBody): Promise<void> {
    return this.#write(name, () => patchFunction(this.#winner(name)?.spec ?? missing(name), patch))
  }

  /** Takes back what REST said; what the file or etcd has is in force again. */
  remove(name: FunctionName): Promise<void> {
    return this.#write(name, () => {
      if (this.#layer('rest').has(name)) return null
      const { owner } = this.#winner(name)?.place ?? missing(name)
      throw new Refusal('owned', `function "${name}" belongs to ${ownerText[owner]}: delete it there`)
    })
  }

  /**
   * Lays weights, one for each of `spec.ips`, over those of a function until then (milliseconds since the epoch), for as long
   * as it has this very `spec`; null takes them away.
   */
  overlay(name: FunctionName, spec: FunctionSpec, weights: readonly number[] | null, until: number): void {
    if (this.#winner(name)?.spec !== spec) return
    this.#overlays.lay(name, spec, weights === null ? null : { weights, until })
    this.#touch(name)
  }

  names(): FunctionName[] {
    return [...this.#inForce.keys()].sort()
  }

  function(name: FunctionName): PublishedFunction | null {
    return this.#inForce.get(name) ?? null
  }

  /** All that sources have of a function; the first decides. */
  claims(name: FunctionName): readonly FunctionClaim[] {
    return this.#places.flatMap(({ owner, zone, layer }) => {
      const spec = layer.get(name)
      return spec === undefined ? [] : [{ owner, zone, spec }]
    })
  }

  rejected(): readonly RejectedKey[] {
    return [...this.#rejected.values()]
  }

  sources(): readonly SourceStatus[] {
    return [...this.#sources].map(([owner, status]) => ({
      owner,
      ...status,
      functions: this.#places.reduce((sum, place) => sum + (place.owner === owner ? place.layer.size : 0), 0),
    }))
  }

  /** Resolves when all that was put so far is in force. */
  async published(): Promise<void> {
    await (this.#publishing ??= this.#publish())
  }

  async close(): Promise<void> {
    this.#addresses.close()
    this.#overlays.close()
    await this.#writes
    await this.#publishing
  }

  #layer(owner: FunctionOwner, zone = ''): Layer {
    const place = this.#places.find((place) => place.owner === owner && place.zone === zone)
    if (place === undefined) throw new TypeError(`there is no zone "${zone}"`)
    return place.layer
  }

  #winner(name: FunctionName): { readonly place: Place; readonly spec: FunctionSpec } | null {
    for (const place of this.#places) {
      const spec = place.layer.get(name)
      if (spec !== undefined) return { place, spec }
    }
    return null
  }

  async #write(name: FunctionName, decide: () => FunctionSpec | null): Promise<void> {
    const done = this.#writes.then(async () => {
      const spec = decide()
      for (const text of spec?.ips ?? []) await this.#checkInstance(text)
      await this.#keep(name, spec)
      if (spec === null) this.#layer('rest').delete(name)
      else this.#layer('rest').set(name, spec)
      this.#touch(name)
    })
    this.#writes = done.catch(() => {})
    await done
    await this.published()
  }

  async #keep(name: FunctionName, spec: FunctionSpec | null): Promise<void> {
    try {
      await this.#options.store.commit([
        { bucket, key: name, value: spec === null ? null : JSON.stringify(spec) },
      ])
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      throw error instanceof StoreFull
        ? new Refusal('full', text, { cause: error })
        : new Refusal('refused', `the change could not be stored: ${text}`, { cause: error })
    }
  }

  /** Somebody waits for the answer: a name that does not resolve is told. */
  async #checkInstance(text: string): Promise<void> {
    const { host, port } = readInstance(text)
    if (familyOf(host) === null) {
      try {
        if (!this.#options.isOwnListener(canonicalAddress(await this.#options.resolve(host)), port)) return
      } catch (error) {
        const cause = error instanceof Error ? error.message : String(error)
        throw invalid(`ips: "${text}" is neither an address nor a name that resolves: ${cause}`)
      }
    } else if (!this.#options.isOwnListener(host, port)) return
    throw invalid(ownApi(text))
  }

  /** True for an address of Torb's own API; a name is judged whenever it resolves. */
  #isOwn(text: string): boolean {
    const { host, port } = readInstance(text)
    return familyOf(host) !== null && this.#options.isOwnListener(host, port)
  }

  #touch(name: FunctionName): void {
    this.#dirty.add(name)
    void this.published()
  }

  /** What was put in one turn goes out as one change, or as several that let requests through between them. */
  async #publish(): Promise<void> {
    await Promise.resolve()
    while (this.#dirty.size > 0) {
      const names = [...this.#dirty.values().take(mostAtOnce)]
      for (const name of names) this.#dirty.delete(name)
      await this.#options.target.apply(names.map((name) => this.#settle(name)))
    }
    this.#publishing = null
  }

  #settle(name: FunctionName): FunctionChange {
    const before = this.#inForce.get(name)
    const winner = this.#winner(name)
    // The new hosts first: what stays in use is not looked up anew.
    for (const host of hostsOf(winner?.spec)) this.#useHost(host, name)
    const published = winner === null ? null : this.#publishedOf(name, winner.place, winner.spec)
    if (published === null) this.#inForce.delete(name)
    else this.#inForce.set(name, published)
    const kept = hostsOf(winner?.spec)
    for (const host of hostsOf(before?.spec)) if (!kept.has(host)) this.#releaseHost(host, name)
    this.#tell(name, before, published)
    return { name, published }
  }

  #publishedOf(name: FunctionName, { owner, zone }: Place, spec: FunctionSpec): PublishedFunction {
    const instances = spec.ips.map((text): PublishedInstance => {
      const { host, port } = readInstance(text)
      const address = familyOf(host) === null ? this.#addresses.get(host) : host
      const own = address !== '' && this.#options.isOwnListener(address, port)
      return { text, address: own ? '' : address, port }
    })
    return { name, owner, zone, spec, overlay: this.#overlays.over(name, spec), instances }
  }

  #useHost(host: string, name: FunctionName): void {
    const users = this.#byHost.get(host) ?? new Set()
    this.#byHost.set(host, users.add(name))
    this.#addresses.use(host)
  }

  #releaseHost(host: string, name: FunctionName): void {
    const users = this.#byHost.get(host)
    users?.delete(name)
    if (users?.size !== 0) return
    this.#byHost.delete(host)
    this.#addresses.forget(host)
  }

  #tell(name: FunctionName, before: PublishedFunction | undefined, after: PublishedFunction | null): void {
    if (before?.spec === after?.spec && before?.owner === after?.owner) return
    const type =
      after === null ? 'function-deleted' : before === undefined ? 'function-created' : 'function-changed'
    const source = (after ?? before)?.owner ?? 'rest'
    this.#options.events.record({ at: this.#options.now(), type, function: name, source })
  }
}

const ownerText: Readonly<Record<FunctionOwner, string>> = {
  rest: 'the REST API',
  file: 'the configuration file',
  etcd: 'etcd',
}

const ownApi = (text: string): string => {
  const { host, port } = readInstance(text)
  return ownListener(host, port).replace(/^backend/, 'instance')
}

/** The DNS names in a function. */
function hostsOf(spec: FunctionSpec | undefined): Set<string> {
  const hosts = new Set<string>()
  for (const text of spec?.ips ?? []) {
    const { host } = readInstance(text)
    if (familyOf(host) === null) hosts.add(host)
  }
  return hosts
}

/** @param refused the key of it that cannot be used, where there is one */
export function noFunction(name: FunctionName, refused?: RejectedKey): Refusal {
  const why =
    refused === undefined
      ? '"torb functions" lists those there are'
      : `key ${refused.key} of ${refused.owner} cannot be used, ${refused.reason}`
  return unknown(`no function "${name}" is in force: ${why}`)
}

function missing(name: FunctionName): never {
  throw noFunction(name)
}
