import { z } from 'zod'
import { parseInterval } from './duration.ts'
import { httpBody, type HttpOptions } from './http.ts'
import {
  fallbackNames,
  flagBit,
  flagNames,
  planeNames,
  protocolNames,
  schedulerNames,
  type PlaneName,
  type Protocol,
  type SchedulerName,
} from './names.ts'
import { withoutUndefined } from './pulse.ts'
import { invalid, message } from './refusal.ts'

const portNumber = z.number().int().min(0).max(65535)
const text = z.string().max(1024)

/** Source affinity, explicit as in ipvsadm -p -M; GORB's `persistent` pins nobody. */
export const persistenceBody = z
  .strictObject({
    timeout: z.number().int().min(1).max(2_678_400).default(300).describe('seconds'),
    netmask: z
      .union([z.number().int().min(1).max(128), z.string()], {
        error: 'netmask must be a prefix length from 1 to 128 or dotted, such as 255.255.255.0',
      })
      .optional(),
  })
  .meta({ id: 'Persistence' })
export type Persistence = z.output<typeof persistenceBody>

const attachBody = z
  .strictObject({
    switches: z.array(text).optional(),
    routers: z.array(text).optional(),
    groups: z.array(text).optional(),
  })
  .meta({ id: 'Attach' })

/** What only a virtual network (plane ovn) has; the defaults are `ovnDefaults`. Names as in ovn-nb(5). */
const ovnBody = z
  .strictObject({
    when_empty: z
      .enum(['reject', 'drop', 'event'])
      .optional()
      .describe(
        'what a client meets while no backend is left: a reset, silence, or silence and an event for who listens',
      ),
    affinity: z
      .enum(['hash', 'learned'])
      .optional()
      .describe(
        'persistence by hash of the addresses, or learned by the switch (affinity_timeout; loses the first connection on the userspace datapath)',
      ),
    slots: z
      .number()
      .int()
      .min(1)
      .max(256)
      .optional()
      .describe('entries of the list of backends, at most: weights are shares of them'),
    hairpin_snat_ip: text
      .optional()
      .describe('source, instead of the virtual address, where a client is its own backend'),
    skip_snat: z.boolean().optional().describe("the router's lb_force_snat_ip is not for this service"),
    force_snat: text
      .optional()
      .describe(
        'lb_force_snat_ip of the routers it is attached to: an address, or router_ip; backends see it instead of the client',
      ),
    add_route: z.boolean().optional().describe('neighbouring routers get routes to the virtual address'),
    neighbor_responder: z
      .enum(['all', 'reachable', 'none'])
      .optional()
      .describe('for which virtual addresses routers answer ARP and ND'),
    check_source: text
      .optional()
      .describe("address in the backends' network that checks come from; else a free one is chosen"),
    template: z
      .record(z.string().min(1).max(255), text)
      .optional()
      .describe('virtual address by chassis (Chassis_Template_Var); host is that of every other chassis'),
  })
  .meta({ id: 'OvnOptions' })
export type OvnOptions = z.output<typeof ovnBody>

/** What a client may send for a service. Values with texts of their own in GORB are checked by `readService`. */
export const serviceBody = z
  .strictObject({
    host: text
      .optional()
      .describe('virtual address or name; empty: the first address of the default interface'),
    port: z
      .union([portNumber, z.literal('any')], {
        error: 'port must be a whole number from 1 to 65535, or "any"',
      })
      .optional(),
    protocol: text.optional().meta({ enum: [...protocolNames] }),
    method: text
      .optional()
      .meta({ enum: [...schedulerNames] })
      .describe('scheduler'),
    flags: text.optional().describe(`list of ${Object.keys(flagNames).join(', ')}, with | between`),
    persistent: z.boolean().optional().describe('kept and shown; pins nobody (use persistence)'),
    fallback: text.optional().describe(`list of ${fallbackNames.join(', ')}, with | between`),
    fwmark: z.number().int().min(1).max(0xffffffff).optional(),
    persistence: persistenceBody.optional(),
    proxy_protocol: z.enum(['v2'], { error: 'proxy_protocol must be "v2"' }).optional(),
    drain: text.optional().describe('how long a removed backend may finish its connections, such as 30s'),
    plane: z.enum(planeNames, { error: `plane must be one of ${planeNames.join(', ')}` }).optional(),
    attach: attachBody.optional(),
    ovn: ovnBody.optional(),
    http: httpBody.optional(),
  })
  .meta({ id: 'ServiceOptions' })
export type ServiceBody = z.output<typeof serviceBody>

/** A service as the API shows it: defaults filled in, names lower-cased, extras only where they were given. */
export interface ServiceOptions {
  readonly host: string
  readonly port: number | 'any'
  readonly protocol: Protocol
  readonly method: SchedulerName
  readonly flags: string
  readonly persistent: boolean
  readonly fallback: string
  readonly fwmark?: number
  readonly persistence?: Persistence
  readonly proxy_protocol?: 'v2'
  readonly drain?: string
  readonly plane?: PlaneName
  readonly attach?: {
    readonly switches?: string[] | undefined
    readonly routers?: string[] | undefined
    readonly groups?: string[] | undefined
  }
  readonly ovn?: OvnOptions
  readonly http?: HttpOptions
}

/**
 * Fills in the defaults and checks the values, in GORB's order: port, host, protocol, flags, fallback, method.
 *
 * @param host what an empty `host` needs: true where the default interface has an address
 * @throws Refusal `invalid`
 */
export function readService(body: ServiceBody, hasDefaultHost: boolean): ServiceOptions {
  const { fwmark } = body
  if (fwmark === undefined) {
    if (body.port === undefined || body.port === 0) throw invalid(message.endpointMissing)
    if ((body.host ?? '') === '' && !hasDefaultHost) throw invalid(message.endpointMissing)
  } else if (body.host !== undefined || body.port !== undefined || body.protocol !== undefined) {
    throw invalid('fwmark stands instead of host, port and protocol: leave them out')
  }
  const protocol = oneOf(protocolNames, body.protocol ?? 'tcp') ?? fail(message.protocolUnknown)
  const flags = body.flags ?? ''
  flagBits(flags)
  const fallback = body.fallback === undefined || body.fallback === '' ? 'fb-default' : body.fallback
  if (!fallback.split('|').every((name) => oneOf(fallbackNames, name) !== undefined))
    fail(message.fallbackUnknown)
  const method =
    oneOf(schedulerNames, body.method === undefined || body.method === '' ? 'wrr' : body.method) ??
    fail(`method "${body.method}" is not a scheduler: choose one of ${schedulerNames.join(', ')}`)
  if (body.drain !== undefined) parseInterval(body.drain)
  if (body.persistence?.netmask !== undefined) prefixLength(body.persistence.netmask)
  if (body.http !== undefined && protocol !== 'http')
    fail(`http is only for services of "protocol": "http", and this one has ${protocol}: leave it out`)
  const { fwmark: mark, persistence, proxy_protocol, drain, attach, ovn, http } = body
  // What only one plane has chooses it for good: at the next start another one may be the default.
  const plane = body.plane ?? (attach === undefined && ovn === undefined ? undefined : 'ovn')
  return {
    host: body.host ?? '',
    port: body.port ?? 0,
    protocol,
    method,
    flags,
    persistent: body.persistent ?? false,
    fallback,
    ...withoutUndefined({ fwmark: mark, persistence, proxy_protocol, drain, plane, attach, ovn, http }),
  }
}

/**
 * The options after a PATCH: fields given replace, fields absent stay.
 *
 * The result is as strict as a new service; that host, port and protocol stay is for the caller, who knows the addresses.
 */
export function patchService(
  current: ServiceOptions,
  patch: ServiceBody,
  hasDefaultHost: boolean,
): ServiceOptions {
  const { fwmark, host, port, protocol, ...rest } = current
  const identity = fwmark === undefined ? { host, port, protocol } : { fwmark }
  return readService({ ...rest, ...identity, ...withoutUndefined(patch) }, hasDefaultHost)
}

/** The flag bits of a `|`-separated list. @throws Refusal `invalid` on an unknown name */
export function flagBits(list: string): number {
  if (list === '') return 0
  let bits = 0
  for (const name of list.split('|')) {
    const bit: number | undefined = Object.hasOwn(flagNames, name)
      ? flagNames[name as keyof typeof flagNames]
      : undefined
    if (bit === undefined) throw invalid(message.flagUnknown)
    bits |= bit
  }
  return bits
}

/** The list that sets these bits, in the words of the scheduler. */
export function flagsText(bits: number, scheduler: SchedulerName): string {
  const own = scheduler === 'sh' || scheduler === 'mh'
  const names = {
    [own ? `${scheduler}-fallback` : 'flag-1']: flagBit.fallback,
    [own ? `${scheduler}-port` : 'flag-2']: flagBit.port,
    'flag-3': flagBit.third,
    'one-packet': flagBit.onePacket,
    hashed: flagBit.hashed,
  }
  return Object.keys(names)
    .filter((name) => (bits & (names[name] ?? 0)) !== 0)
    .join('|')
}

/** Prefix length of a netmask given as a number or dotted. @throws Refusal `invalid` */
export function prefixLength(netmask: number | string): number {
  if (typeof netmask === 'number') return netmask
  if (/^\d{1,3}$/.test(netmask) && Number(netmask) >= 1 && Number(netmask) <= 128) return Number(netmask)
  const parts = netmask.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256))
  const bits = parts.map((part) => part.toString(2).padStart(8, '0')).join('')
  if (parts.length !== 4 || parts.some((part) => part > 255) || !/^1+0*$/.test(bits)) {
    throw invalid(`netmask "${netmask}" is not a netmask: give a prefix length such as 24, or 255.255.255.0`)
  }
  return bits.indexOf('0') < 0 ? 32 : bits.indexOf('0')
}

function oneOf<T extends string>(names: readonly T[], name: string): T | undefined {
  return names.find((known) => known === name.toLowerCase())
}

function fail(text: string): never {
  throw invalid(text)
}
