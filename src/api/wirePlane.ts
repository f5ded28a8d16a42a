import { z } from 'zod'
import type { PlaneLag, PlaneStatus } from '../control/control.ts'
import { entryBody } from '../control/entryBody.ts'
import { flagNames } from '../model/names.ts'
import type { Capabilities, Destination, VirtualService } from '../planes/plane.ts'

/** The shapes of GET /plane. */

const capabilitiesShape = z
  .object({
    schedulers: z.array(z.string()),
    spread: z
      .enum(['exact', 'hash'])
      .describe('shares follow the order of the scheduler, or are those of a hash'),
    checks: z.array(z.string()).describe('types of pulses that the plane carries out itself'),
    flags: z.array(z.string()),
    forwarding: z.array(z.string()),
    tunnels: z.array(z.string()),
    protocols: z.array(z.string()),
    families: z.array(z.number()),
    any_port: z.boolean(),
    fwmark: z.boolean(),
    persistence: z.boolean(),
    max_connections: z.boolean(),
    thresholds: z.boolean(),
    proxy_protocol: z.boolean(),
    attach: z.boolean(),
    active_connections: z.boolean().describe('a drain can end when the last connection does'),
    survives_exit: z.boolean().describe('traffic goes on while no Torb runs'),
  })
  .meta({ id: 'Capabilities' })

const foreignBackendShape = z
  .object({
    id: z.string().describe('its endpoint'),
    options: z.object({
      host: z.string(),
      port: z.number().describe('0: the port of the connection'),
      weight: z.number(),
      method: z.string().describe('forwarding'),
      tunnel: z.object({ type: z.string(), port: z.number().optional() }).optional(),
      limits: z
        .object({ upper_threshold: z.number().optional(), lower_threshold: z.number().optional() })
        .optional(),
    }),
  })
  .meta({ id: 'ForeignBackend' })

const foreignShape = z
  .object({
    id: z
      .string()
      .describe('its name where it has one, else its endpoint, such as `tcp 10.0.0.1:80` or `fwmark 7`'),
    family: z.union([z.literal(4), z.literal(6)]),
    options: z
      .object({
        host: z.string().optional(),
        port: z.union([z.number(), z.literal('any')]).optional(),
        protocol: z.string().optional(),
        fwmark: z.number().optional().describe('instead of host, port and protocol'),
        method: z.string().describe('scheduler'),
        flags: z.string(),
        persistence: z.object({ timeout: z.number(), netmask: z.number() }).optional(),
        attach: z
          .object({
            switches: z.array(z.string()),
            routers: z.array(z.string()),
            groups: z.array(z.string()),
          })
          .optional(),
        ovn: z.record(z.string(), z.unknown()).optional(),
      })
      .describe('as the body of PUT /service/{vs} has them'),
    backends: z.array(foreignBackendShape),
  })
  .describe('an entry that somebody else made; Torb leaves it alone')
  .meta({ id: 'Foreign' })

export const planeShape = z
  .object({
    name: z.string(),
    services: z.number().describe('services it carries'),
    failing: z.number().describe('services it refuses now'),
    drifted: z
      .number()
      .optional()
      .describe('services that somebody changed in it, which is only reported; only with --observe'),
    lag: z
      .object({
        services: z.number().describe('services of which something is accepted and not in effect'),
        since: z.iso.datetime().nullable().describe('of the oldest; null: none'),
        lagging: z
          .record(z.string(), z.number())
          .describe('of how many services each of those that lag has not followed yet'),
      })
      .optional()
      .describe('how far effect lags behind acceptance; only of planes that tell'),
    audited_at: z.iso
      .datetime()
      .nullable()
      .describe('when all it holds was last compared with what it should; null: not yet'),
    problem: z.string().describe('why foreign and facts are not known now; empty where they are'),
    foreign: z.array(foreignShape),
    facts: z
      .record(z.string(), z.unknown())
      .describe('what else the plane tells of itself, such as the time-outs in force'),
    can: capabilitiesShape,
  })
  .meta({ id: 'Plane' })

export const announcerShape = z
  .object({
    name: z.string(),
    url: z.string().describe('whom it tells'),
    state: z
      .enum(['in step', 'behind', 'unreachable'])
      .describe('behind: it answers, but not all is told; unreachable: it does not answer'),
    since: z.iso.datetime().describe('of the last change of state'),
    message: z.string().describe('why it is not in step; empty where it is'),
    pending: z.number().describe('announcements still to be made or taken back'),
  })
  .describe('who tells others of services')
  .meta({ id: 'Announcer' })

/** An announcer (src/announce) as the API shows it. */
export interface AnnouncerStatus {
  readonly name: string
  readonly url: string
  readonly state: z.output<typeof announcerShape>['state']
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly message: string
  readonly pending: number
}

export function wirePlane(status: PlaneStatus): z.output<typeof planeShape> {
  const { name, services, failing, drifted, lag, auditedAt, problem, foreign, facts, can } = status
  return {
    name,
    services,
    failing,
    ...(drifted === 0 ? {} : { drifted }),
    ...(lag === null ? {} : { lag: wireLag(lag) }),
    audited_at: auditedAt === 0 ? null : new Date(auditedAt).toISOString(),
    problem,
    foreign: foreign.map(wireForeign),
    facts: { ...facts },
    can: wireCapabilities(can),
  }
}

function wireLag({ services, since, lagging }: PlaneLag): NonNullable<z.output<typeof planeShape>['lag']> {
  return {
    services,
    since: since === 0 ? null : new Date(since).toISOString(),
    lagging: Object.fromEntries(lagging),
  }
}

export function wireAnnouncer(status: AnnouncerStatus): z.output<typeof announcerShape> {
  const { name, url, state, since, message, pending } = status
  return { name, url, state, since: new Date(since).toISOString(), message, pending }
}

export function wireForeign(entry: VirtualService): z.output<typeof foreignShape> {
  return {
    id: entry.id,
    family: entry.family,
    options: entryBody(entry),
    backends: entry.destinations.map(wireDestination),
  }
}

function wireDestination(destination: Destination): z.output<typeof foreignBackendShape> {
  const { id, address, port, weight, forwarding, tunnel, upperThreshold, lowerThreshold } = destination
  return {
    id,
    options: {
      host: address,
      port,
      weight,
      method: forwarding,
      ...(tunnel === null
        ? {}
        : { tunnel: { type: tunnel.type, ...(tunnel.port === 0 ? {} : { port: tunnel.port }) } }),
      ...(upperThreshold === 0 && lowerThreshold === 0
        ? {}
        : { limits: { upper_threshold: upperThreshold, lower_threshold: lowerThreshold } }),
    },
  }
}

function wireCapabilities(can: Capabilities): z.output<typeof capabilitiesShape> {
  return {
    schedulers: [...can.schedulers],
    spread: can.spread,
    checks: [...can.checks],
    flags: Object.entries(flagNames).flatMap(([name, bit]) => ((can.flags & bit) === 0 ? [] : [name])),
    forwarding: [...can.forwarding],
    tunnels: [...can.tunnels],
    protocols: [...can.protocols],
    families: [...can.families],
    any_port: can.anyPort,
    fwmark: can.fwmark,
    persistence: can.persistence,
    max_connections: can.maxConnections,
    thresholds: can.thresholds,
    proxy_protocol: can.proxyProtocol,
    attach: can.attach,
    active_connections: can.activeConnections,
    survives_exit: can.survivesExit,
  }
}
