import { z } from 'zod'
import {
  functionOwners,
  type FollowedZone,
  type HeldLosses,
  type RejectedKey,
  type SourceStatus,
} from '../control/functions.ts'

/** The shapes of where functions come from. */

export const sourceName = z.enum(functionOwners)

export const rejectedShape = z
  .object({
    source: sourceName,
    key: z.string(),
    reason: z.string(),
    since: z.iso.datetime(),
  })
  .describe('a key that cannot be used; what its function was before stays in force')
  .meta({ id: 'RejectedKey' })

const heldShape = z
  .object({
    since: z.iso.datetime(),
    functions: z.array(z.string()),
    instances: z.number().describe('that the origin has no more'),
    of: z.number().describe('instances in force'),
    needs_confirmation: z.boolean().describe('it is not taken by itself after a while'),
  })
  .describe('a loss of too many instances at once; POST /sources/{source}/confirm takes it')

const age = z
  .number()
  .nullable()
  .describe('seconds since it was last known to be as its origin has it; null: it never was')

const state = z
  .enum(['starting', 'current', 'stale', 'held'])
  .describe(
    'stale: the origin does not answer, the last known functions stay; held: a loss waits to be confirmed',
  )

export const sourceShape = z
  .object({
    source: sourceName,
    state,
    message: z.string(),
    age,
    functions: z.number().describe('that it has'),
    rejected: z.number().describe('keys that cannot be used'),
    zones: z.array(
      z.object({
        zone: z.string(),
        state,
        message: z.string(),
        age,
        endpoint: z.string(),
        revision: z.number().describe('of the origin, up to which all is known'),
        held: heldShape.nullable(),
      }),
    ),
  })
  .meta({ id: 'Source' })

export const rejectedListShape = z.array(rejectedShape)
export const confirmedShape = z.object({ changes: z.number().describe('functions that changed') })

export type WireSource = z.output<typeof sourceShape>
export type WireRejected = z.output<typeof rejectedShape>

export function wireRejected({ owner, key, reason, since }: RejectedKey): WireRejected {
  return { source: owner, key, reason, since: new Date(since).toISOString() }
}

/** Keys of etcd end in the name of their function; those of others are the name. */
export const isKeyOf = (key: string, name: string): boolean => key === name || key.endsWith(`/${name}`)

/** @param zones where the source follows an origin; else none */
export function wireSource(
  { owner, state, message, currentAt, functions }: SourceStatus,
  zones: readonly FollowedZone[],
  rejected: number,
  now: number,
): WireSource {
  return {
    source: owner,
    state,
    message,
    age: seconds(zones.length > 0 ? oldest(zones) : currentAt === 0 ? null : Math.max(0, now - currentAt)),
    functions,
    rejected,
    zones: zones.map((of) => ({
      zone: of.zone,
      state: of.state,
      message: of.message,
      age: seconds(of.age),
      endpoint: of.endpoint,
      revision: of.revision,
      held: wireHeld(of.held),
    })),
  }
}

/** The age of what is known of all zones; null where one of them never was. */
function oldest(zones: readonly FollowedZone[]): number | null {
  return zones.some(({ age }) => age === null) ? null : Math.max(...zones.map(({ age }) => age ?? 0))
}

const seconds = (milliseconds: number | null): number | null =>
  milliseconds === null ? null : milliseconds / 1000

function wireHeld(held: HeldLosses | null): z.output<typeof heldShape> | null {
  if (held === null) return null
  const { since, functions, instances, of, onlyByOperator } = held
  return {
    since: new Date(since).toISOString(),
    functions: [...functions],
    instances,
    of,
    needs_confirmation: onlyByOperator,
  }
}
