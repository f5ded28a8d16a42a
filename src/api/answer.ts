import type { FastifyReply } from 'fastify'
import { Refusal, type RefusalCode } from '../model/refusal.ts'
import { goJson } from './json.ts'

const statusOf: Readonly<Record<RefusalCode, number>> = {
  invalid: 400,
  exists: 409,
  unknown: 404,
  owned: 409,
  refused: 500,
  unreachable: 503,
  full: 507,
}

/** Sends a value as GORB does. As bytes, so that no charset is added to the Content-Type. */
export function answerJson(reply: FastifyReply, value: unknown, status = 200): FastifyReply {
  return reply
    .code(status)
    .header('content-type', 'application/json')
    .send(Buffer.from(goJson(value)))
}

export function answerError(reply: FastifyReply, status: number, text: string): FastifyReply {
  return answerJson(reply, { error: text }, status)
}

/** The answer of a successful write: 200 with nothing in it. */
export function answerDone(reply: FastifyReply): FastifyReply {
  return reply.code(200).send()
}

/** Status and text for whatever was thrown; `internal` where it is a fault of Torb's and belongs into the log. */
export function statusFor(error: unknown): { status: number; text: string; internal: boolean } {
  if (error instanceof Refusal) return { status: statusOf[error.code], text: error.message, internal: false }
  const { statusCode = 500, code = '' } = error as { statusCode?: number; code?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return { status: 400, text: 'the body is larger than 1 MiB (1048576 bytes)', internal: false }
  }
  if (statusCode >= 400 && statusCode < 500 && error instanceof Error) {
    return { status: statusCode, text: error.message, internal: false }
  }
  return { status: 500, text: 'Torb failed to answer this request; its log says why', internal: true }
}
