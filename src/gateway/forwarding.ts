import { Piece, putPiece } from '../proxy/http/headPiece.ts'
import { hopField } from './hop.ts'

/** A chain of addresses that another gateway passed on is kept up to so many bytes. */
export const chainLimit = 256

/**
 * The header fields by which a forwarded request and its answer tell where they came through, in those words of the
 * edgerun balancer. Constant parts are encoded once; a request only copies bytes.
 */
export class ForwardingFields {
  /** What never reaches an upstream as a client sent it. */
  readonly own: readonly string[]
  /** In lower case: the field that only this node adds. */
  readonly host: string
  readonly #chain: Piece
  readonly #host: Piece
  readonly #answer: Piece
  readonly #seconds = new Seconds()

  constructor(node: string) {
    this.host = `x-forwarded-host-${node.toLowerCase()}`
    this.own = ['x-forwarded-for', this.host, 'x-final-host', hopField]
    this.#chain = new Piece(Buffer.from(`X-Forwarded-For: ${node}, `))
    this.#host = new Piece(Buffer.from(`\r\nX-Forwarded-Host-${node}: `))
    this.#answer = new Piece(Buffer.from(`X-Forwarded-For: ${node}\r\nX-Forwarded-Host-${node}: `))
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
    final: Piece,
  ): number {
    let to = putPiece(into, at, this.#chain)
    for (let i = from; i < end; i++) into[to++] = chain[i]!
    to = this.#seconds.write(into, putPiece(into, to, this.#host), milliseconds)
    return putPiece(into, to, final)
  }

  writeResponse(into: Uint8Array, at: number, milliseconds: number, final: Piece): number {
    return putPiece(into, this.#seconds.write(into, putPiece(into, at, this.#answer), milliseconds), final)
  }
}

/** The line with the chosen host and the end of that before it, made once for each instance. */
export function finalHostLine(instance: string): Piece {
  return new Piece(Buffer.from(`\r\nX-Final-Host: ${instance}\r\n`))
}

/** Writes times as seconds with seven decimals; the whole seconds change seldom. */
class Seconds {
  #second = -1
  #text = new Piece('')

  write(into: Uint8Array, at: number, milliseconds: number): number {
    const second = Math.floor(milliseconds / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#text = new Piece(Buffer.from(`${second}.`))
    }
    const end = putPiece(into, at, this.#text) + decimals
    let rest = ((milliseconds - second * 1000) * ticksPerMs) | 0
    for (let to = end - 1; to >= end - decimals; to--) {
      const tenth = (rest / 10) | 0
      into[to] = 0x30 + rest - tenth * 10
      rest = tenth
    }
    return end
  }
}

/** Decimals of a second, and what the last one is of a millisecond. */
const decimals = 7
const ticksPerMs = 10_000
