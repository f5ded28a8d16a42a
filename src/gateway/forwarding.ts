import { hopField } from './hop.ts'

/** A chain of addresses that another gateway passed on is kept up to so many bytes. */
export const chainLimit = 256

/** Seven decimals of a second. */
const ticksPerMs = 10_000
const decimals = 7

/**
 * The header fields by which a forwarded request and its answer tell where they came through, in those words of the
 * edgerun balancer. Constant parts are encoded once; a request only copies bytes.
 */
export class ForwardingFields {
  /** What never reaches an upstream as a client sent it. */
  readonly own: readonly string[]
  readonly #chain: Uint8Array
  readonly #answerChain: Uint8Array
  readonly #host: Uint8Array

  constructor(node: string) {
    this.own = ['x-forwarded-for', `x-forwarded-host-${node.toLowerCase()}`, 'x-final-host', hopField]
    this.#chain = Buffer.from(`X-Forwarded-For: ${node}, `)
    this.#answerChain = Buffer.from(`X-Forwarded-For: ${node}\r\n`)
    this.#host = Buffer.from(`X-Forwarded-Host-${node}: `)
  }

  /**
   * @param chain the client's address, or the chain that a gateway passed on
   * @param milliseconds since the epoch
   * @param final the line with X-Final-Host
   */
  writeRequest(
    into: Uint8Array,
    at: number,
    chain: Uint8Array,
    from: number,
    end: number,
    milliseconds: number,
    final: Uint8Array,
  ): number {
    let to = copy(into, at, this.#chain)
    for (let i = from; i < end; i++) into[to++] = chain[i]!
    to = endLine(into, to)
    to = copy(into, to, this.#host)
    to = endLine(into, writeSeconds(into, to, milliseconds))
    return copy(into, to, final)
  }

  writeResponse(into: Uint8Array, at: number, milliseconds: number, final: Uint8Array): number {
    const to = copy(into, copy(into, at, this.#answerChain), this.#host)
    return copy(into, endLine(into, writeSeconds(into, to, milliseconds)), final)
  }
}

/** The line with the chosen host, made once for each instance. */
export function finalHostLine(instance: string): Uint8Array {
  return Buffer.from(`X-Final-Host: ${instance}\r\n`)
}

/** Seconds with seven decimals. */
export function writeSeconds(into: Uint8Array, at: number, milliseconds: number): number {
  const seconds = Math.floor(milliseconds / 1000)
  const fraction = Math.floor((milliseconds - seconds * 1000) * ticksPerMs)
  let digits = 1
  for (let rest = seconds; rest >= 10; rest = Math.floor(rest / 10)) digits++
  writeDigits(into, at, seconds, digits)
  into[at + digits] = 0x2e
  writeDigits(into, at + digits + 1, fraction, decimals)
  return at + digits + 1 + decimals
}

function writeDigits(into: Uint8Array, at: number, value: number, digits: number): void {
  let rest = value
  for (let to = at + digits - 1; to >= at; to--) {
    into[to] = 0x30 + (rest % 10)
    rest = Math.floor(rest / 10)
  }
}

function copy(into: Uint8Array, at: number, bytes: Uint8Array): number {
  for (let i = 0; i < bytes.length; i++) into[at + i] = bytes[i]!
  return at + bytes.length
}

function endLine(into: Uint8Array, at: number): number {
  into[at] = 0x0d
  into[at + 1] = 0x0a
  return at + 2
}
