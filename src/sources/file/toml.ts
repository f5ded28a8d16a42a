import { parse, TomlError } from 'smol-toml'
import { maxDepth, SyntaxFault, tooDeep, type Parsed, type Place } from './place.ts'

/** TOML 1.0 with the places of its values. */
export function parseToml(text: string): Parsed {
  try {
    // Dates and the like are refused by the schema, as what they are not.
    const value = parse(text, { maxDepth })
    return { ok: true, value, place: new PlaceScanner(text).document() }
  } catch (error) {
    if (error instanceof SyntaxFault) return { ok: false, faults: [error] }
    if (!(error instanceof TomlError)) throw error
    const message = (error.message.split('\n', 1)[0] ?? '').replace(/^Invalid TOML document: /, '')
    return { ok: false, faults: [{ offset: offsetAt(text, error.line, error.column), message }] }
  }
}

function offsetAt(text: string, line: number, column: number): number {
  let start = 0
  for (let i = 1; i < line; i++) start = text.indexOf('\n', start) + 1
  return Math.min(start + Math.max(column, 1) - 1, text.length)
}

interface Key {
  readonly name: string
  readonly offset: number
}

const blank = /(?:[ \t\r\n]|#[^\n]*)*/y
const space = /[ \t]*/y
const bareKey = /[A-Za-z0-9_-]+/y
const basicString = /"(?:[^"\\\n]|\\.)*"/y
const literalString = /'[^'\n]*'/y
// A closing delimiter may be preceded by one or two quotes of the content.
const longBasic = /"""(?:[^"\\]|\\[\s\S]|"{1,2}(?!"))*"{3,5}/y
const longLiteral = /'''(?:[^']|'{1,2}(?!'))*'{3,5}/y
const bareValue = /[^,\]}\n#]*/y

/** Walks over a text that is known to be valid and notes where its keys and values stand. */
class PlaceScanner {
  readonly #text: string
  readonly #root: Place = { key: 0, value: 0, children: new Map() }
  /** Tables of [[arrays]], whose last item is what later headers go on with. */
  readonly #arrays = new Set<Place>()
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): Place {
    let table = this.#root
    for (this.#skip(blank); this.#at < this.#text.length; this.#skip(blank)) {
      if (this.#text[this.#at] === '[') table = this.#header()
      else this.#pair(table, 0)
    }
    return this.#root
  }

  #header(): Place {
    const isArray = this.#text[this.#at + 1] === '['
    this.#at += isArray ? 2 : 1
    const keys = this.#keys()
    this.#at += isArray ? 2 : 1
    const table = this.#descend(this.#root, keys, isArray)
    if (!isArray) return table
    this.#arrays.add(table)
    return this.#child(table, { name: String(table.children.size), offset: keys[0]?.offset ?? 0 })
  }

  #pair(table: Place, depth: number): void {
    const keys = this.#keys()
    const last = keys.at(-1)
    this.#at++
    this.#skip(space)
    if (last !== undefined) this.#value(this.#descend(table, keys.slice(0, -1), false), last, depth)
  }

  #value(parent: Place, key: Key, depth: number): void {
    if (depth > maxDepth) throw new SyntaxFault(this.#at, tooDeep)
    const place: Place = { key: key.offset, value: this.#at, children: new Map() }
    parent.children.set(key.name, place)
    const first = this.#text[this.#at]
    if (first === '[')
      this.#items(']', () =>
        this.#value(place, { name: String(place.children.size), offset: this.#at }, depth + 1),
      )
    else if (first === '{') this.#items('}', () => this.#pair(place, depth + 1))
    else if (this.#text.startsWith('"""', this.#at)) this.#skip(longBasic)
    else if (this.#text.startsWith("'''", this.#at)) this.#skip(longLiteral)
    else this.#skip(first === '"' ? basicString : first === "'" ? literalString : bareValue)
  }

  #items(end: string, item: () => void): void {
    this.#at++
    for (this.#skip(blank); this.#text[this.#at] !== end; this.#skip(blank)) {
      if (this.#at >= this.#text.length) throw new SyntaxFault(this.#at, `"${end}" is missing`)
      item()
      this.#skip(blank)
      if (this.#text[this.#at] === ',') this.#at++
    }
    this.#at++
  }

  /** A dotted key. */
  #keys(): Key[] {
    const keys: Key[] = []
    do {
      if (this.#text[this.#at] === '.') this.#at++
      this.#skip(space)
      const offset = this.#at
      const first = this.#text[offset]
      const text = this.#skip(first === '"' ? basicString : first === "'" ? literalString : bareKey)
      if (text === '') throw new SyntaxFault(offset, 'no key')
      keys.push({ name: keyName(text), offset })
      this.#skip(space)
    } while (this.#text[this.#at] === '.')
    return keys
  }

  #descend(from: Place, keys: readonly Key[], toArray: boolean): Place {
    let place = from
    keys.forEach((key, index) => {
      place = this.#child(place, key)
      const last = String(place.children.size - 1)
      if (this.#arrays.has(place) && !(toArray && index === keys.length - 1))
        place = place.children.get(last) ?? place
    })
    return place
  }

  #child(parent: Place, { name, offset }: Key): Place {
    const child = parent.children.get(name) ?? { key: offset, value: offset, children: new Map() }
    parent.children.set(name, child)
    return child
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += found.length
    return found
  }
}

/** TOML's own reading of a quoted key, so that its escapes are written once. */
function keyName(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1)
  return text.startsWith('"') ? (Object.keys(parse(`${text} = 0`))[0] ?? '') : text
}
