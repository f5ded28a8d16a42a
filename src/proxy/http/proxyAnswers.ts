import { reasons } from './headRefusals.ts'
import { type Answer, prepareAnswer } from './policy.ts'

const phrases: Record<number, string> = {
  400: 'Bad Request',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  431: 'Request Header Fields Too Large',
  501: 'Not Implemented',
  505: 'HTTP Version Not Supported',
}

/** The answers to what a scan refuses, by the number of its reason. */
export const refusals: readonly Answer[] = reasons.map(({ status, text, rule }) =>
  prepareAnswer(status, phrases[status] ?? 'Bad Request', `${text} (${rule})\n`),
)

export const tooLarge = prepareAnswer(
  413,
  'Content Too Large',
  'the body is larger than what is accepted here\n',
)
export const requestTimeout = prepareAnswer(
  408,
  'Request Timeout',
  'the request was not received whole in time\n',
)
export const badGateway = prepareAnswer(502, 'Bad Gateway')
export const unavailable = prepareAnswer(503, 'Service Unavailable', '', { 'Retry-After': '1' })
export const gatewayTimeout = prepareAnswer(504, 'Gateway Timeout')
