/** Where a value stands in the text of a file: offsets in UTF-16 code units. */
export interface Place {
  /** Of its key; of the value itself in a list and at the top. */
  readonly key: number
  readonly value: number
  /** Fields of a map, or items of a list by index, in the order of the file; empty for a scalar. */
  readonly children: Map<string, Place>
}

/** Something wrong at an offset of the text. */
export interface Fault {
  readonly offset: number
  readonly message: string
}

/** A text as a value and the places of its parts, or what is wrong with it. */
export type Parsed =
  | { readonly ok: true; readonly value: unknown; readonly place: Place }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** No configuration needs more levels than this; deeper input is refused before anything recurses over it. */
export const maxDepth = 32
export const tooDeep = `nested deeper than ${maxDepth} levels`

/** A syntax error, thrown within a parser and turned into a fault at its face. */
export class SyntaxFault extends Error {
  readonly offset: number

  constructor(offset: number, message: string) {
    super(message)
    this.offset = offset
  }
}

/** The place at a path, or the deepest that there is on the way to it. */
export function placeAt(root: Place, path: readonly PropertyKey[]): { place: Place; whole: boolean } {
  let place = root
  for (const step of path) {
    const child = place.children.get(String(step))
    if (child === undefined) return { place, whole: false }
    place = child
  }
  return { place, whole: true }
}
