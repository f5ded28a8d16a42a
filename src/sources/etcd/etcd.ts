import { setTimeout as sleep } from 'node:timers/promises'
import type { FollowedZone, FunctionSource, HeldLosses, SourceState } from '../../control/functions.ts'
import { functionPrefix, type FunctionName, type FunctionSpec } from '../../model/function.ts'
import { endpointUrls, type EtcdAccess } from './access.ts'
import { Follower, type Following } from './follower.ts'
import { defaultGuard, Zone, type Change, type Guard } from './zone.ts'
import { Writer } from './writer.ts'

/** How long what was written may take until the watch tells of it. */
const echoMs = 3000

export interface EtcdOptions extends EtcdAccess {
  /** Each under a prefix of its own, `golb/function/<zone>/`. */
  readonly zones: readonly string[]
  readonly guard?: Guard | undefined
  /** Milliseconds after which etcd is asked again whether all that it has is known; default 3000. */
  readonly proofMs?: number | undefined
}

export interface EtcdStatus {
  /** The worst of the zones. */
  readonly state: SourceState
  /** Why it is not current, or what is held; '' where there is nothing to say. */
  readonly message: string
  readonly zones: readonly FollowedZone[]
}

export interface EtcdSource {
  status(): EtcdStatus
  /** An operator's word that etcd is right: takes the held losses. @returns how many functions changed */
  confirm(): number
  /**
   * Puts `to` in the place of a function that is `from`. Resolves when it is in force here, or when etcd has another one by now.
   *
   * @throws Error where etcd does not take it
   */
  write(zone: string, name: FunctionName, from: FunctionSpec, to: FunctionSpec): Promise<void>
  close(): Promise<void>
}

/**
 * Keeps the functions of some zones as etcd has them until `close`. Functions stay while etcd is away.
 *
 * @throws Error for options that cannot be right
 */
export function startEtcd(
  options: EtcdOptions,
  functions: FunctionSource,
  now: () => number = Date.now,
  random: () => number = Math.random,
): EtcdSource {
  const urls = endpointUrls(options)
  const guard = options.guard ?? defaultGuard
  const followed = options.zones.map((zone) => {
    const known = new Zone(zone, functions.held(zone), guard)
    const changed = (changes: readonly Change[]): void => tell(changes, zone)
    const holdMs = guard.graceMs / guard.loads
    const follower = new Follower({
      zone,
      known,
      urls,
      access: options,
      proofMs: options.proofMs ?? 3000,
      holdMs,
      changed,
      now,
      random,
      stood: () => report(),
    })
    return { zone, known, follower }
  })
  const writer = new Writer(urls, options)

  function tell(changes: readonly Change[], zone: string): void {
    for (const change of changes) {
      switch (change.type) {
        case 'put':
          functions.put(change.key, zone, change.name, change.spec)
          break
        case 'remove':
          functions.remove(change.key, zone, change.name)
          break
        case 'reject':
          functions.reject(change.key, change.reason)
          break
        case 'settle':
          functions.settle(change.key)
          break
        default:
          change satisfies never
      }
    }
    report()
  }

  function report(): void {
    const { state, message } = status()
    functions.report(state, message)
  }

  function status(): EtcdStatus {
    const zones = followed.map(({ zone, known, follower }) =>
      zoneStatus(zone, known.revision, known.held, follower.following, now()),
    )
    const state = order.find((state) => zones.some((zone) => zone.state === state)) ?? 'current'
    const message = [...new Set(zones.map(({ message }) => message).filter((text) => text !== ''))].join('; ')
    return { state, message, zones }
  }

  return {
    status,
    confirm: () => {
      const changes = followed.map(({ zone, known }) => {
        const changes = known.confirm()
        tell(changes, zone)
        return changes.length
      })
      return changes.reduce((sum, count) => sum + count, 0)
    },
    write: async (zone, name, from, to) => {
      const known = followed.find((one) => one.zone === zone)?.known
      const key = functionPrefix(zone) + name
      const revision = known?.revisionOf(key, from) ?? null
      if (known === undefined || revision === null) return
      const written = await writer.put(key, revision, JSON.stringify(to))
      for (let waited = 0; waited < echoMs && known.revision < (written ?? 0); waited += 10) await sleep(10)
    },
    close: async () => {
      writer[Symbol.dispose]()
      await Promise.all(followed.map(({ follower }) => follower.close()))
    },
  }
}

/** The worst first. */
const order: readonly SourceState[] = ['stale', 'held', 'starting', 'current']

function zoneStatus(
  zone: string,
  revision: number,
  held: HeldLosses | null,
  { state, endpoint, provenAt, message }: Following,
  now: number,
): FollowedZone {
  return {
    zone,
    state: state === 'current' && held !== null ? 'held' : state,
    endpoint,
    revision,
    age: provenAt === 0 ? null : Math.max(0, now - provenAt),
    message: [message, held === null ? '' : heldText(zone, held)].filter((text) => text !== '').join('; '),
    held,
  }
}

function heldText(zone: string, { functions, instances, of, onlyByOperator }: HeldLosses): string {
  const shown = functions.slice(0, 5).join(', ') + (functions.length > 5 ? ', …' : '')
  const end = onlyByOperator
    ? 'they stay until "torb functions confirm" says that it is meant'
    : 'they stay until etcd has said so for a while, or "torb functions confirm" says that it is meant'
  return `zone ${zone}: etcd has lost ${instances} of ${of} instances at once (${shown}), which is more than is believed: ${end}`
}
