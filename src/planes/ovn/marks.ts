import { z } from 'zod'
import { endpointText, familyOf } from '../../model/address.ts'
import { protocolNames, pulseTypes, schedulerNames } from '../../model/names.ts'
import { serviceBody } from '../../model/service.ts'
import type { VirtualService } from '../plane.ts'

/** Keys of external_ids that make a row Torb's, and tell a later run what a row cannot say. */
export const mark = {
  owner: 'torb-owner',
  service: 'torb-service',
  /** Weights by endpoint, JSON. */
  backends: 'torb-backends',
  /** The rest of the service, JSON. */
  spec: 'torb-spec',
  /** On a row that is attached nowhere and only makes OVN watch backends. */
  watch: 'torb-watch',
  /** On a row that stands for a moment, to reset connections. */
  reset: 'torb-reset',
} as const

/** Whether a row with these external_ids is an owner's. A mark that somebody spoilt is none: nobody writes that row any more. */
export const isMarked = (ids: ReadonlyMap<string, string>, owner: string): boolean =>
  ids.get(mark.owner) === owner && (ids.has(mark.service) || ids.has(mark.reset))

const weightsShape = z.record(z.string(), z.number().int().min(0))

const checkShape = z.strictObject({
  type: z.enum(pulseTypes),
  intervalMs: z.number(),
  timeoutMs: z.number(),
  rise: z.number(),
  fall: z.number(),
  decides: z.boolean(),
})

const names = z.array(z.string())

const specShape = z.strictObject({
  address: z.string().refine((text) => familyOf(text) !== null),
  port: z.union([z.number().int(), z.literal('any')]),
  protocol: z.enum(protocolNames),
  scheduler: z.enum(schedulerNames),
  flags: z.number().int(),
  persistence: z.strictObject({ timeout: z.number(), prefix: z.number() }).nullable(),
  attach: z.strictObject({ switches: names, routers: names, groups: names }).nullable(),
  ovn: serviceBody.shape.ovn.unwrap().nullable(),
  backends: z.record(
    z.string(),
    z.strictObject({
      id: z.string(),
      address: z.string(),
      port: z.number().int(),
      maxWeight: z.number(),
      check: checkShape.nullable(),
    }),
  ),
})

/** The marks of a service's row. */
export function marksOf(spec: VirtualService, owner: string): Readonly<Record<string, string>> {
  const { address, port, protocol, scheduler, flags, persistence, attach, ovn, destinations } = spec
  const backends = Object.fromEntries(
    destinations.map(({ id, address, port, maxWeight, check }) => [
      endpointText(address, port),
      { id, address, port, maxWeight, check },
    ]),
  )
  const rest: z.output<typeof specShape> = {
    address,
    port,
    protocol,
    scheduler,
    flags,
    persistence,
    attach: attach && {
      switches: [...attach.switches],
      routers: [...attach.routers],
      groups: [...attach.groups],
    },
    ovn,
    backends,
  }
  return {
    [mark.owner]: owner,
    [mark.service]: spec.id,
    [mark.backends]: JSON.stringify(
      Object.fromEntries(
        destinations.map(({ address, port, weight }) => [endpointText(address, port), weight]),
      ),
    ),
    [mark.spec]: canonical(rest),
  }
}

/** The service that these marks tell of; null where they tell of none, or somebody changed them beyond reading. */
export function markedService(externalIds: ReadonlyMap<string, string>): VirtualService | null {
  const id = externalIds.get(mark.service)
  const read = specShape.safeParse(json(externalIds.get(mark.spec)))
  const weights = weightsShape.safeParse(json(externalIds.get(mark.backends)))
  if (id === undefined || !read.success || !weights.success) return null
  const { backends, ...rest } = read.data
  const destinations = Object.entries(weights.data).map(([place, weight]) => {
    const backend = backends[place]
    return backend && { ...backend, weight, forwarding: 'nat' as const, ...without }
  })
  if (destinations.includes(undefined)) return null
  return {
    id,
    ...rest,
    fwmark: 0,
    family: familyOf(rest.address) ?? 4,
    proxyProtocol: false,
    destinations: destinations.flatMap((destination) => destination ?? []),
  }
}

/** What no destination of OVN has. */
export const without = { tunnel: null, maxConnections: 0, upperThreshold: 0, lowerThreshold: 0 } as const

/** JSON with the names of objects in order: who reads it and writes it again writes the same. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )

function json(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? 'null') as unknown
  } catch {
    return null
  }
}
