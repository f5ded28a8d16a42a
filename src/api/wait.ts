import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { Control } from '../control/control.ts'
import { parseInterval } from '../model/duration.ts'
import type { ServiceId } from '../model/names.ts'
import { invalid } from '../model/refusal.ts'
import { answerDone, answerJson } from './answer.ts'
import { responses, writeErrors } from './describe.ts'

/** Below the time after which a silent connection is closed. */
const longestMs = 60_000
const usualMs = 5000

/** The query of writes that may wait for their effect. */
export const waitQuery = {
  wait: z
    .enum(['applied'], { error: 'wait must be "applied"' })
    .optional()
    .describe('answer when it is in effect everywhere, or the time is over: 200 with an Effect as body'),
  timeout: z
    .string()
    .optional()
    .describe('with wait: how long at most, such as 5s, which is the default; at most 60s'),
}

const effectShape = z
  .object({
    state: z
      .enum(['applied', 'accepted'])
      .describe('accepted: the time was over; it is durable and going to take effect'),
    lagging: z.array(z.string()).describe('who has not followed yet, such as chassis'),
  })
  .meta({ id: 'Effect' })

/** The answers of a write that may wait. */
export const written = (description: string): ReturnType<typeof responses> =>
  responses({ description: `${description}; empty without \`wait\``, schema: effectShape }, ...writeErrors)

interface WaitQuery {
  readonly wait?: 'applied' | undefined
  readonly timeout?: string | undefined
}

/** Milliseconds; 0: the answer does not wait. @throws Refusal `invalid` */
export function waitOf({ wait, timeout }: WaitQuery): number {
  if (wait === undefined) {
    if (timeout !== undefined) throw invalid('timeout is how long wait=applied waits: give both, or neither')
    return 0
  }
  if (timeout === undefined) return usualMs
  const limit = `timeout "${timeout.slice(0, 64)}" must be a whole number with s or m, at most 60s`
  let milliseconds: number
  try {
    milliseconds = parseInterval(timeout)
  } catch {
    throw invalid(limit)
  }
  if (milliseconds > longestMs) throw invalid(limit)
  return milliseconds
}

/** Answers a write that was done: at once with nothing in it, or after a wait with what came of it. */
export async function answerWritten(
  reply: FastifyReply,
  control: Control,
  service: ServiceId,
  waitMs: number,
): Promise<FastifyReply> {
  return waitMs === 0 ? answerDone(reply) : answerJson(reply, await control.applied(service, waitMs))
}
