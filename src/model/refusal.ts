/**
 * Why Torb does not do what it was asked. One class for every layer; the API turns `code` into a status.
 *
 * `message` is one sentence that names the thing, the cause and, where there is one, the cure.
 */
export type RefusalCode =
  /** The request is wrong as written: 400. */
  | 'invalid'
  /** Something of that name or address is there already: 409. */
  | 'exists'
  /** Nothing of that name: 404. */
  | 'unknown'
  /** The configuration file owns the object: 409. */
  | 'owned'
  /** The data plane (kernel, socket) said no: 500. */
  | 'refused'
  /** The data plane cannot be reached now: 503. */
  | 'unreachable'
  /** No room for the durable record: 507. */
  | 'full'

export class Refusal extends Error {
  readonly code: RefusalCode

  constructor(code: RefusalCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'Refusal'
    this.code = code
  }
}

/** GORB's error strings (contract of the REST dialect). Clients compare them, so they are data, not prose. */
export const message = {
  endpointMissing: 'endpoint information is missing',
  forwardingUnknown: 'specified forwarding method is unknown',
  protocolUnknown: 'specified protocol is unknown',
  flagUnknown: 'specified flag is unknown',
  fallbackUnknown: 'specified fallback flag is unknown',
  familiesDiffer: 'incompatible address families',
  pulseUnknown: 'specified pulse type is unknown',
  intervalNotPositive: 'pulse interval must be positive',
  intervalInvalid: 'invalid interval format',
  planeRefused: 'error while calling into IPVS',
  exists: 'specified object already exists',
  unknown: 'unable to locate specified object',
} as const

export const invalid = (text: string): Refusal => new Refusal('invalid', text)
export const exists = (text: string = message.exists): Refusal => new Refusal('exists', text)
export const unknown = (text: string = message.unknown): Refusal => new Refusal('unknown', text)
