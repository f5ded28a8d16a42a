import { readInstance, type FunctionName } from '../model/function.ts'
import type { CheckResult, Pulse } from '../pulse/check.ts'
import { initialHealth, metrics, observe, type Health } from '../pulse/health.ts'
import { makePulse, type PulseSettings } from '../pulse/pulse.ts'
import { scheduleOf, undecidedChecks } from './checks.ts'
import type { EventLog, Log } from './events.ts'
import type { FunctionChange, FunctionTarget, PublishedFunction } from './functions.ts'

/** Weight comes back in so many steps, so that an order that is swapped whole is not swapped at each check. */
const steps = 10

export interface FunctionHealthOptions {
  readonly target: FunctionTarget
  /** Instances that are gateways: their own checks, if any, are for others. */
  readonly isGateway: (instance: string) => boolean
  readonly events: EventLog
  readonly log: Log
  readonly now: () => number
  readonly maxInFlight?: number
  readonly pulseOf?: (settings: PulseSettings<CheckedInstance>) => Pulse<CheckedInstance>
}

export interface InstanceHealth {
  readonly isUp: boolean
  /** Why it is down; '' while it is up. */
  readonly reason: string
  /** Share of its weight that is in force, 0 to 1. */
  readonly share: number
}

export interface CheckedInstance {
  readonly name: FunctionName
  readonly text: string
  health: Health
  reason: string
}

interface Followed {
  published: PublishedFunction
  readonly instances: ReadonlyMap<string, CheckedInstance>
}

/**
 * Stands before who carries functions out: runs the pulses of their instances, and lets the weight of one that is down be 0
 * and that of one that recovers come back by steps. Where all are down all keep their weight: a check that is wrong is no
 * outage.
 */
export class FunctionHealth implements FunctionTarget {
  readonly #options: FunctionHealthOptions
  readonly #pulse: Pulse<CheckedInstance>
  readonly #followed = new Map<FunctionName, Followed>()

  constructor(options: FunctionHealthOptions) {
    const { now, log, maxInFlight, pulseOf = makePulse } = options
    this.#options = options
    const undecided = undecidedChecks(log, now)
    this.#pulse = pulseOf({
      onResult: (instance, result) => this.#observe(instance, result),
      onUndecided: ({ name, text }, reason) => undecided({ function: name, instance: text }, reason),
      ...(maxInFlight === undefined ? {} : { maxInFlight }),
    })
  }

  async apply(changes: readonly FunctionChange[]): Promise<void> {
    await this.#options.target.apply(
      changes.map(({ name, published }) => {
        const followed = this.#follow(name, published)
        return { name, published: followed === null ? published : weighted(followed) }
      }),
    )
  }

  /** null: it has no pulse. */
  state(name: FunctionName, instance: string): InstanceHealth | null {
    const found = this.#followed.get(name)?.instances.get(instance)
    if (found === undefined) return null
    return { isUp: found.health.up, reason: found.reason, share: shareOf(found.health) }
  }

  /** The weights in force, one for each of `spec.ips`; null where they are not moved by health. */
  weights(name: FunctionName): readonly number[] | null {
    const followed = this.#followed.get(name)
    return followed === undefined ? null : (weighted(followed).overlay?.weights ?? null)
  }

  close(): void {
    this.#pulse.close()
    this.#followed.clear()
  }

  #follow(name: FunctionName, published: PublishedFunction | null): Followed | null {
    const before = this.#followed.get(name)
    const pulse = published?.spec.pulse
    const instances = new Map<string, CheckedInstance>()
    if (published !== null && pulse !== undefined && pulse.type !== 'none') {
      for (const { text, address, port } of published.instances) {
        // One that is listed twice is checked once.
        if (address === '' || instances.has(text) || this.#options.isGateway(text)) continue
        const instance = before?.instances.get(text) ?? { name, text, health: initialHealth(), reason: '' }
        instances.set(text, instance)
        this.#pulse.set(instance, scheduleOf(pulse, { host: readInstance(text).host, address, port }, true))
      }
    }
    for (const [text, instance] of before?.instances ?? [])
      if (!instances.has(text)) this.#pulse.delete(instance)
    this.#followed.delete(name)
    if (published === null || instances.size === 0) return null
    const followed = { published, instances }
    this.#followed.set(name, followed)
    return followed
  }

  #observe(instance: CheckedInstance, result: CheckResult): void {
    const { events, now, target } = this.#options
    const { name, text } = instance
    const followed = this.#followed.get(name)
    if (followed?.instances.get(text) !== instance) return
    const { rise = 1, fall = 1, window = 100 } = followed.published.spec.pulse ?? {}
    const before = instance.health
    instance.health = observe(before, result, now(), { rise, fall, window })
    instance.reason = instance.health.up ? '' : result.reason
    if (before.up !== instance.health.up) {
      const type = instance.health.up ? 'instance-up' : 'instance-down'
      events.record({ at: now(), type, function: name, instance: text, reason: result.reason })
    }
    const share = shareOf(instance.health)
    this.#pulse.setPace(instance, share === 0 ? 'down' : share < 1 ? 'recovering' : 'normal')
    if (share !== shareOf(before)) void target.apply([{ name, published: weighted(followed) }])
  }
}

/** 0 while Down; then the share of successes in the window, until no failure is left in it. */
function shareOf(health: Health): number {
  if (!health.up) return 0
  return health.restoring ? Math.ceil(metrics(health).health * steps) / steps : 1
}

/** As exact as a weight may be given. */
const millionths = (weight: number): number => Math.round(weight * 1e6) / 1e6

function weighted({ published, instances }: Followed): PublishedFunction {
  const { spec, overlay } = published
  const configured = overlay?.weights ?? spec.weights
  const weights = spec.ips.map((text, index) => {
    const instance = instances.get(text)
    const weight = configured[index] ?? 0
    return instance === undefined ? weight : millionths(weight * shareOf(instance.health))
  })
  const allDown = !weights.some((weight) => weight > 0)
  if (allDown || weights.every((weight, index) => weight === configured[index])) return published
  return { ...published, overlay: { weights, until: overlay?.until ?? Infinity } }
}
