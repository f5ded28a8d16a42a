import { isDeepStrictEqual } from 'node:util'
import {
  functionPrefix,
  parseFunction,
  parseFunctionKey,
  type FunctionName,
  type FunctionSpec,
} from '../../model/function.ts'
import { Refusal } from '../../model/refusal.ts'
import type { HeldLosses } from '../../control/functions.ts'

/** A key as a load finds it. */
export interface Pair {
  readonly key: string
  readonly value: string
  readonly modRevision: number
}

/** What a watch tells; a value of null: deleted. */
export interface KeyEvent {
  readonly key: string
  readonly value: string | null
  readonly modRevision: number
}

/** Which history, and how far into it. */
export interface Position {
  readonly clusterId: string
  readonly revision: number
}

/** All keys of a zone at one revision. */
export interface Snapshot extends Position {
  readonly pairs: readonly Pair[]
}

/** What the gateway is to be told, in this order. */
export type Change =
  | { readonly type: 'put'; readonly key: string; readonly name: FunctionName; readonly spec: FunctionSpec }
  | { readonly type: 'remove'; readonly key: string; readonly name: FunctionName }
  /** The key cannot be used; what its function was goes on. */
  | { readonly type: 'reject'; readonly key: string; readonly reason: string }
  /** The key is not rejected any more. */
  | { readonly type: 'settle'; readonly key: string }

export interface HeldLoss extends HeldLosses {
  /** Loads that said the same since. */
  readonly loads: number
}

export interface Guard {
  /** Share of a zone's instances that may be lost at once, 0 to 1; 1: any. */
  readonly maxLoss: number
  /** How long "at once" is. */
  readonly windowMs: number
  /** A held loss is taken when it is so old and so many loads saw it. */
  readonly graceMs: number
  readonly loads: number
}

export const defaultGuard: Guard = { maxLoss: 0.5, windowMs: 10_000, graceMs: 60_000, loads: 3 }

/** Functions that lose instances by events within the window, before that is no single deed any more. */
const burst = 3

interface Key {
  /** '' where the key cannot be read. */
  readonly name: FunctionName
  modRevision: number
  /** etcd has it, whatever its value. */
  present: boolean
  /** What the gateway has. */
  inForce: FunctionSpec | null
  /** What etcd has; where that cannot be used, the last that could. */
  wanted: FunctionSpec | null
  /** Why etcd's value cannot be used; null where it can, or there is none. */
  rejected: string | null
  /** As `rejected`, as far as the gateway was told. */
  told: string | null
  /** It was an event that deleted it: that follows from what was there. */
  deletedByEvent: boolean
}

interface Hold {
  readonly since: number
  loads: number
  onlyByOperator: boolean
}

/**
 * What is known of the functions of one zone: etcd's loads and events go in, changes for the gateway come out.
 *
 * A value that cannot be used never replaces one that can. A loss of more than a share of the instances at once, by a load
 * or by events of three functions or more, is held back until the instances are there again, several loads over a while say
 * the same, or an operator confirms it. What does not follow from what was known (an older revision, another cluster, a
 * load that finds nothing) an operator alone can confirm: so does an etcd look that was restarted empty.
 */
export class Zone {
  readonly #guard: Guard
  readonly #keys = new Map<string, Key>()
  /** Keys of which the gateway does not have what etcd has. */
  readonly #open = new Set<string>()
  #position: Position = { clusterId: '', revision: 0 }
  /** Instances in force. */
  #instances = 0
  /** What was lost within the window. */
  #losses: { readonly at: number; readonly instances: number; readonly functions: number }[] = []
  #hold: Hold | null = null

  /** @param inForce what the gateway has from an earlier time */
  constructor(name: string, inForce: ReadonlyMap<FunctionName, FunctionSpec>, guard: Guard) {
    this.#guard = guard
    for (const [func, spec] of inForce) {
      this.#keys.set(functionPrefix(name) + func, {
        name: func,
        modRevision: 0,
        present: true,
        inForce: spec,
        wanted: spec,
        rejected: null,
        told: null,
        deletedByEvent: false,
      })
      this.#instances += spec.ips.length
    }
  }

  /** All up to this revision is known; 0: nothing is. */
  get revision(): number {
    return this.#position.revision
  }

  /** How many keys etcd has as far as is known, and the revision of the newest. */
  get extent(): { readonly keys: number; readonly newest: number } {
    let keys = 0
    let newest = 0
    for (const { present, modRevision } of this.#keys.values()) {
      if (!present) continue
      keys++
      newest = Math.max(newest, modRevision)
    }
    return { keys, newest }
  }

  get held(): HeldLoss | null {
    if (this.#hold === null) return null
    const losing = this.#losing()
    return {
      ...this.#hold,
      functions: losing.map(({ name }) => name),
      instances: totalLoss(losing),
      of: this.#instances,
    }
  }

  /** When this function came to be what it is, which is this very spec; null: it is another one by now. */
  revisionOf(key: string, spec: FunctionSpec): number | null {
    const known = this.#keys.get(key)
    if (known?.inForce !== spec || known.wanted !== spec || known.rejected !== null) return null
    return known.modRevision
  }

  /** True where this cannot be a later state of what is known. */
  isAnother({ clusterId, revision }: Position): boolean {
    const known = this.#position
    return known.revision > 0 && (revision < known.revision || clusterId !== known.clusterId)
  }

  /** Takes all keys of the zone as they are at one revision. */
  load(snapshot: Snapshot, now: number): Change[] {
    const isAnother = this.isAnother(snapshot)
    this.#position = { clusterId: snapshot.clusterId, revision: snapshot.revision }
    const missing = new Set(this.#keys.keys())
    for (const { key, value, modRevision } of snapshot.pairs) {
      missing.delete(key)
      this.#put(key, value, modRevision)
    }
    for (const key of missing) this.#delete(key, snapshot.revision, false)
    const isUnexplained =
      isAnother ||
      (snapshot.pairs.length === 0 && this.#losing().some(({ deletedByEvent }) => !deletedByEvent))
    return this.#settle(now, 'load', isUnexplained)
  }

  /** Takes what happened, in the order of revisions; what a load has brought already is passed over. */
  events(events: readonly KeyEvent[], now: number): Change[] {
    let { revision } = this
    for (const { key, value, modRevision } of events) {
      if (modRevision <= this.revision) continue
      if (value === null) this.#delete(key, modRevision, true)
      else this.#put(key, value, modRevision)
      revision = Math.max(revision, modRevision)
    }
    this.progress(revision)
    return this.#settle(now, 'events', false)
  }

  /** Nothing of the zone happened up to this revision. */
  progress(revision: number): void {
    if (revision > this.revision) this.#position = { ...this.#position, revision }
  }

  /** An operator's word: etcd is right. */
  confirm(): Change[] {
    this.#hold = null
    this.#losses = []
    return this.#take(() => true)
  }

  #put(text: string, value: string, modRevision: number): void {
    const { name, spec, reason } = read(text, value)
    const key = this.#keys.get(text)
    const inForce = key?.inForce ?? null
    // The same object where it is the same function, so that an equal value is no change.
    const wanted =
      spec === null ? (key?.wanted ?? inForce) : isDeepStrictEqual(spec, inForce) ? inForce : spec
    this.#set(text, {
      name,
      modRevision,
      present: true,
      inForce,
      wanted,
      rejected: reason,
      told: key?.told ?? null,
      deletedByEvent: false,
    })
  }

  #delete(text: string, modRevision: number, byEvent: boolean): void {
    const key = this.#keys.get(text)
    if (key === undefined) return
    const deletedByEvent = byEvent || (!key.present && key.deletedByEvent)
    this.#set(text, { ...key, modRevision, present: false, wanted: null, rejected: null, deletedByEvent })
  }

  #set(text: string, key: Key): void {
    this.#keys.set(text, key)
    if (key.wanted !== key.inForce || key.rejected !== key.told || !key.present) this.#open.add(text)
    else this.#open.delete(text)
  }

  /** Takes what etcd wants, but for losses that are too much at once. */
  #settle(now: number, by: 'load' | 'events', isUnexplained: boolean): Change[] {
    // While something is held, what was lost before it stays in account: it is not taken in slices.
    if (this.#hold === null) this.#losses = this.#losses.filter(({ at }) => now - at < this.#guard.windowMs)
    const losing = this.#losing()
    if (this.#isTooMuch(losing, by)) {
      this.#hold ??= { since: now, loads: 0, onlyByOperator: false }
      const hold = this.#hold
      if (by === 'load') hold.loads++
      if (isUnexplained) hold.onlyByOperator = true
      const { graceMs, loads } = this.#guard
      if (hold.onlyByOperator || now - hold.since < graceMs || hold.loads < loads) {
        return this.#take((key) => lossOf(key) === 0)
      }
      return this.confirm()
    }
    this.#hold = null
    if (losing.length > 0) {
      this.#losses.push({ at: now, instances: totalLoss(losing), functions: losing.length })
    }
    return this.#take(() => true)
  }

  #isTooMuch(losing: readonly Key[], by: 'load' | 'events'): boolean {
    if (losing.length === 0) return false
    // What comes back in slices does not let the rest go.
    if (this.#hold?.onlyByOperator === true) return true
    const before = total(this.#losses.map(({ instances }) => instances))
    const functions = losing.length + total(this.#losses.map(({ functions }) => functions))
    // An event of one or two functions is somebody's deed; that there are no more makes it no accident.
    if (by === 'events' && this.#hold === null && functions < burst) return false
    return before + totalLoss(losing) > this.#guard.maxLoss * (this.#instances + before)
  }

  #take(may: (key: Key) => boolean): Change[] {
    const changes: Change[] = []
    for (const text of this.#open) {
      const key = this.#keys.get(text)
      if (key === undefined) continue
      const { name, wanted, inForce } = key
      if (wanted !== inForce && may(key)) {
        if (wanted === null) changes.push({ type: 'remove', key: text, name })
        else changes.push({ type: 'put', key: text, name, spec: wanted })
        this.#instances += (wanted?.ips.length ?? 0) - (inForce?.ips.length ?? 0)
        key.inForce = wanted
        // Either ends a rejection.
        key.told = null
      }
      if (key.rejected !== key.told) {
        if (key.rejected === null) changes.push({ type: 'settle', key: text })
        else changes.push({ type: 'reject', key: text, reason: key.rejected })
        key.told = key.rejected
      }
      if (key.wanted === key.inForce) this.#open.delete(text)
      if (!key.present && key.inForce === null) this.#keys.delete(text)
    }
    return changes
  }

  #losing(): Key[] {
    return [...this.#open].flatMap((text) => this.#keys.get(text) ?? []).filter((key) => lossOf(key) > 0)
  }
}

/** Instances that the function is to have less. */
const lossOf = ({ inForce, wanted }: Key): number =>
  Math.max(0, (inForce?.ips.length ?? 0) - (wanted?.ips.length ?? 0))

const total = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0)
const totalLoss = (keys: readonly Key[]): number => total(keys.map(lossOf))

interface ReadPair {
  readonly name: FunctionName
  readonly spec: FunctionSpec | null
  /** Why it cannot be used. */
  readonly reason: string | null
}

function read(key: string, value: string): ReadPair {
  let name = ''
  try {
    name = parseFunctionKey(key).name
    return { name, spec: parseFunction(value), reason: null }
  } catch (error) {
    if (error instanceof Refusal) return { name, spec: null, reason: error.message }
    throw error
  }
}
