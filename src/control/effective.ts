import { isDeepStrictEqual } from 'node:util'
import { flagBits, prefixLength } from '../model/service.ts'
import { parseInterval } from '../model/duration.ts'
import type { BackendId, PulseType } from '../model/names.ts'
import { sameDestination, type Destination, type VirtualService } from '../planes/plane.ts'
import { effectiveWeights, type Health } from '../pulse/health.ts'
import { checkOfPlane } from './checks.ts'
import { configuredWeight, serviceFamily, type BackendRecord, type ServiceRecord } from './records.ts'

/** What health says of a backend. `held`: unknown health, the plane already carries this weight (a restart). */
export interface Vital {
  readonly health: Health
  readonly held: number | null
}

/**
 * The service as the plane should hold it: desired × health.
 *
 * Parts equal to those of `previous` are the same objects, so that a difference is cheap to see.
 *
 * @param checks kinds of pulses that the plane carries out itself
 */
export function effective(
  record: ServiceRecord,
  vital: (id: BackendId) => Vital,
  previous: VirtualService | null,
  checks: ReadonlySet<PulseType>,
): VirtualService {
  const { options, address } = record
  const { persistence, attach, ovn = null } = options
  const family = serviceFamily(record)
  const weights = weightsInForce(record, vital)
  const destinations = record.backends.map((backend, index): Destination => {
    const destination = toDestination(backend, weights[index] ?? 0, vital(backend.id).health.up, checks)
    const before =
      previous?.destinations[index]?.id === backend.id
        ? previous.destinations[index]
        : previous?.destinations.find((candidate) => candidate.id === backend.id)
    return before !== undefined && sameDestination(before, destination) ? before : destination
  })
  const spec: VirtualService = {
    id: record.id,
    address,
    port: options.fwmark === undefined ? options.port : 0,
    protocol: options.protocol,
    fwmark: options.fwmark ?? 0,
    family,
    scheduler: options.method,
    flags: flagBits(options.flags),
    persistence:
      persistence === undefined
        ? null
        : {
            timeout: persistence.timeout,
            prefix: prefixLength(persistence.netmask ?? (family === 4 ? 32 : 128)),
          },
    proxyProtocol: options.proxy_protocol !== undefined,
    attach:
      attach === undefined
        ? null
        : { switches: attach.switches ?? [], routers: attach.routers ?? [], groups: attach.groups ?? [] },
    ovn,
    ...(options.http === undefined ? {} : { http: options.http }),
    destinations,
  }
  return previous !== null && sameService(previous, spec) ? previous : spec
}

/** The weight that is wished for, whatever its health: 0 while it drains. */
const wishedWeight = (backend: BackendRecord): number =>
  backend.drainUntil > 0 ? 0 : configuredWeight(backend)

/** The weight of each backend now, in list order: configured × health, 0 while draining, the fallback where all are Down. */
export function weightsInForce(record: ServiceRecord, vital: (id: BackendId) => Vital): number[] {
  const parts = record.backends.map((backend) => {
    const { health, held } = vital(backend.id)
    return { configured: wishedWeight(backend), health, held }
  })
  const weights = effectiveWeights(parts, record.options.fallback.split('|').includes('fb-zero-to-one'))
  return weights.map((weight, index) => Math.min(weight, parts[index]?.held ?? weight))
}

/** True where two specifications would be programmed alike. */
export function sameService(a: VirtualService, b: VirtualService): boolean {
  return (
    a.destinations.length === b.destinations.length &&
    a.destinations.every((destination, index) => {
      const other = b.destinations[index]
      return other !== undefined && (destination === other || sameDestination(destination, other))
    }) &&
    // A plane that reads its entries back makes the fields in an order of its own.
    isDeepStrictEqual({ ...a, destinations: null }, { ...b, destinations: null })
  )
}

/** Milliseconds a removed backend of this service may finish its connections; 0: none. */
export const defaultDrain = (record: ServiceRecord): number =>
  record.options.drain === undefined ? 0 : parseInterval(record.options.drain)

function toDestination(
  backend: BackendRecord,
  weight: number,
  isUp: boolean,
  checks: ReadonlySet<PulseType>,
): Destination {
  const { id, options, address } = backend
  const { limits, tunnel, pulse } = options
  // A verdict of Down must not take out what gets traffic because all are Down.
  const decides = wishedWeight(backend) > 0 && (isUp || weight === 0)
  return {
    id,
    address,
    port: options.port,
    weight,
    // A drain or an override moves the weight in force only: tables built over all backends stay as they are.
    maxWeight: options.weight,
    forwarding: options.method,
    tunnel: options.method === 'tunnel' ? { type: tunnel?.type ?? 'ipip', port: tunnel?.port ?? 0 } : null,
    maxConnections: limits?.max_connections ?? 0,
    upperThreshold: limits?.upper_threshold ?? 0,
    lowerThreshold: limits?.lower_threshold ?? 0,
    check: checks.has(pulse.type) ? checkOfPlane(pulse, decides) : null,
  }
}
