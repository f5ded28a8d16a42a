import type { OvnOptions } from '../../model/service.ts'
import type { VirtualService } from '../plane.ts'
import { learned } from './selection.ts'

/** Keys of the column `options` that are Torb's to set; others are left as somebody set them. */
export const ownOptions = [
  'reject',
  'event',
  'hairpin_snat_ip',
  'skip_snat',
  'add_route',
  'neighbor_responder',
  'affinity_timeout',
  'template',
  'address-family',
  'ct_flush',
] as const

export const defaultSlots = 64

/** The column `options` of a service; what is OVN's default is left out, as by hand. */
export function optionsOf(spec: VirtualService): Readonly<Record<string, string>> {
  const {
    when_empty = 'reject',
    hairpin_snat_ip,
    skip_snat,
    add_route,
    neighbor_responder,
    template,
  } = spec.ovn ?? {}
  return {
    ...(when_empty === 'reject' ? { reject: 'true' } : {}),
    ...(when_empty === 'event' ? { event: 'true' } : {}),
    ...(hairpin_snat_ip === undefined ? {} : { hairpin_snat_ip }),
    ...(skip_snat === true ? { skip_snat: 'true' } : {}),
    ...(add_route === true ? { add_route: 'true' } : {}),
    ...(neighbor_responder === undefined ? {} : { neighbor_responder }),
    ...(learned(spec) ? { affinity_timeout: String(spec.persistence?.timeout) } : {}),
    ...(template === undefined
      ? {}
      : { template: 'true', 'address-family': spec.family === 4 ? 'ipv4' : 'ipv6' }),
  }
}

/** What somebody else's `options` say in Torb's words; null where nothing differs from Torb's defaults. */
export function ovnOf(options: ReadonlyMap<string, string>): OvnOptions | null {
  const on = (key: string): boolean => options.get(key) === 'true'
  const hairpin = options.get('hairpin_snat_ip')
  const responder = (['all', 'reachable', 'none'] as const).find(
    (name) => name === options.get('neighbor_responder'),
  )
  const ovn: OvnOptions = {
    ...(on('reject') ? {} : { when_empty: on('event') ? 'event' : 'drop' }),
    ...(affinityTimeout(options) > 0 ? { affinity: 'learned' } : {}),
    ...(hairpin === undefined ? {} : { hairpin_snat_ip: hairpin }),
    ...(on('skip_snat') ? { skip_snat: true } : {}),
    ...(on('add_route') ? { add_route: true } : {}),
    ...(responder === undefined ? {} : { neighbor_responder: responder }),
  }
  return Object.keys(ovn).length === 0 ? null : ovn
}

/** Seconds; 0: clients are not learned. */
export const affinityTimeout = (options: ReadonlyMap<string, string>): number =>
  Number(/^\d+$/.exec(options.get('affinity_timeout') ?? '')?.[0] ?? 0)
