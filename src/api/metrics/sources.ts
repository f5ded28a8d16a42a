import type { SourceState } from '../../control/functions.ts'
import type { WireSource } from '../wireSource.ts'
import { labels, type Exposition } from './exposition.ts'

const states: readonly SourceState[] = ['starting', 'current', 'stale', 'held']

/** Where functions come from. */
export function writeSources(out: Exposition, sources: readonly WireSource[]): void {
  out.family('torb_source_state', 'gauge', '1 for the state that the source is in.')
  for (const { source, state: now } of sources)
    for (const state of states)
      out.sample('torb_source_state', labels({ source, state }), state === now ? 1 : 0)
  out.family('torb_source_functions', 'gauge', 'Functions that the source has.')
  for (const { source, functions } of sources)
    out.sample('torb_source_functions', labels({ source }), functions)
  out.family('torb_source_rejected_keys', 'gauge', 'Keys of the source that cannot be used.')
  for (const { source, rejected } of sources)
    out.sample('torb_source_rejected_keys', labels({ source }), rejected)
  out.family(
    'torb_source_age_seconds',
    'gauge',
    'Time since all that the origin has was last known; absent: it never was.',
  )
  for (const { source, age } of sources)
    if (age !== null) out.sample('torb_source_age_seconds', labels({ source }), age)
  const zones = sources.flatMap(({ source, zones }) =>
    zones.map((of) => ({ of, text: labels({ source, zone: of.zone }) })),
  )
  out.family('torb_source_zone_age_seconds', 'gauge', 'The same for each zone.')
  for (const { of, text } of zones)
    if (of.age !== null) out.sample('torb_source_zone_age_seconds', text, of.age)
  out.family('torb_source_zone_revision', 'gauge', 'Revision of the origin up to which all is known.')
  for (const { of, text } of zones) out.sample('torb_source_zone_revision', text, of.revision)
  out.family(
    'torb_source_held_instances',
    'gauge',
    'Instances that the origin has no more, kept until that is confirmed.',
  )
  for (const { of, text } of zones) out.sample('torb_source_held_instances', text, of.held?.instances ?? 0)
}
