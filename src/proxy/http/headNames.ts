import { bytesOf, foldedBytes, lowerBytes } from './headCharacters.ts'

/** What a field is to a proxy, by its name. `OTHER` is passed on. */
export const OTHER = 0
export const HOST = 1
export const CONTENT_LENGTH = 2
export const TRANSFER_ENCODING = 3
export const CONNECTION = 4
export const UPGRADE = 5
export const EXPECT = 6
/** Hop-by-hop (RFC 9110 §7.6.1), or of no meaning behind us; never passed on. */
export const HOP_BY_HOP = 7
/** Named by Connection as hop-by-hop; never passed on. */
export const NOMINATED = 8
/** A recognised name with "_" for "-", which CGI-like servers would take for the real one; never passed on. */
export const LOOKALIKE = 9
/** Watched names have this kind and the following ones. No client can end them by Connection. */
const WATCHED = 10

const recognised: readonly (readonly [name: string, kind: number])[] = [
  ['host', HOST],
  ['content-length', CONTENT_LENGTH],
  ['transfer-encoding', TRANSFER_ENCODING],
  ['connection', CONNECTION],
  ['upgrade', UPGRADE],
  ['expect', EXPECT],
  ['keep-alive', HOP_BY_HOP],
  ['proxy-connection', HOP_BY_HOP],
  ['te', HOP_BY_HOP],
  ['http2-settings', HOP_BY_HOP],
]

/** 256 places for some dozens of names: most other names meet an empty place and are compared with nothing. */
const places = 256

/** The names that the scanner recognises, as a hash table over bytes: the standard's, and those that a policy watches. */
export class FieldNames {
  readonly #names: readonly Uint8Array[]
  readonly #kinds: Uint8Array
  /** Index of a name plus 1; 0: empty. */
  readonly #table = new Uint8Array(places)

  /** @param watched further names in lower case; `kindOf` tells their kinds */
  constructor(watched: readonly string[] = []) {
    const further = watched.filter((name) => !recognised.some(([known]) => known === name))
    const all = [
      ...recognised,
      ...[...new Set(further)].map((name, index) => [name, WATCHED + index] as const),
    ]
    if (all.length > places / 4) {
      throw new RangeError(
        `${watched.length} field names are to be watched, but at most ${places / 4 - recognised.length} can be: watch fewer`,
      )
    }
    this.#names = all.map(([name]) => bytesOf(name))
    this.#kinds = Uint8Array.from(all, ([, kind]) => kind)
    for (const [index, name] of this.#names.entries()) {
      let place = placeOf(name, 0, name.length)
      while (this.#table[place] !== 0) place = (place + 1) % places
      this.#table[place] = index + 1
    }
  }

  /** The kind of the name that lies in [start, end), which is not empty. */
  kindOf(bytes: Uint8Array, start: number, end: number): number {
    let place = placeOf(bytes, start, end)
    for (;;) {
      const index = this.#table[place] as number
      if (index === 0) return OTHER
      const name = this.#names[index - 1] as Uint8Array
      if (name.length === end - start) {
        if (same(bytes, start, name, lowerBytes)) return this.#kinds[index - 1] as number
        if (same(bytes, start, name, foldedBytes)) return LOOKALIKE
      }
      place = (place + 1) % places
    }
  }
}

function placeOf(bytes: Uint8Array, start: number, end: number): number {
  const first = foldedBytes[bytes[start] as number] as number
  const middle = foldedBytes[bytes[(start + end) >> 1] as number] as number
  const last = foldedBytes[bytes[end - 1] as number] as number
  return (first + 11 * middle + 5 * last + 37 * (end - start)) % places
}

/** Whether a name is there, but for what this table makes the same. */
function same(bytes: Uint8Array, start: number, name: Uint8Array, table: Uint8Array): boolean {
  for (let index = 0; index < name.length; index++) {
    if (table[bytes[start + index] as number] !== name[index]) return false
  }
  return true
}
