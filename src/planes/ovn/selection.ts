import { flagBit } from '../../model/names.ts'
import type { VirtualService } from '../plane.ts'
import type { Spread } from './slots.ts'

/** Members of selection_fields that the server's schema may lack (ipv6_src and ipv6_dst came in 2025). */
export type SelectionField = 'ip_src' | 'ip_dst' | 'ipv6_src' | 'ipv6_dst' | 'tp_src'

/** Persistence as the switch learns it, by affinity_timeout. */
export const learned = ({ persistence, ovn }: VirtualService): boolean =>
  persistence !== null && ovn?.affinity === 'learned'

/** By what OVN chooses: none means a hash of the connection. */
export function selectionFields(spec: VirtualService): readonly SelectionField[] {
  const [source, destination] =
    spec.family === 4 ? (['ip_src', 'ip_dst'] as const) : (['ipv6_src', 'ipv6_dst'] as const)
  const { scheduler, flags, persistence } = spec
  if (scheduler === 'dh') return [destination]
  if (scheduler === 'sh' || scheduler === 'mh')
    return (flags & flagBit.port) === 0 ? [source] : [source, 'tp_src']
  return persistence === null || learned(spec) ? [] : [source, destination]
}

/** How weights become a list of backends. */
export function spreadOf(spec: VirtualService): Spread {
  if (selectionFields(spec).length > 0) return 'table'
  return spec.scheduler === 'wrr' ? 'proportion' : 'each'
}
