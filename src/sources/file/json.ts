import { maxDepth, SyntaxFault, tooDeep, type Parsed, type Place } from './place.ts'

/** JSON by RFC 8259 with the places of its values; a key that stands twice in an object is refused. */
export function parseJson(text: string): Parsed {
  try {
    const parser = new JsonParser(text)
    const { value, place } = parser.document()
    return { ok: true, value, place }
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error
    return { ok: false, faults: [error] }
  }
}

interface Located {
  readonly value: unknown
  readonly place: Place
}

const blank = /[ \t\n\r]*/y
// "unescaped" of RFC 8259 §7, in UTF-16 code units.
const string = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /true|false|null/y

class JsonParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  document(): Located {
    const located = this.#value(this.#next(), 0)
    if (this.#next() < this.#text.length) this.#fail('the text goes on after the value')
    return located
  }

  #value(key: number, depth: number): Located {
    if (depth > maxDepth) this.#fail(tooDeep)
    const at = this.#at
    const first = this.#text[at]
    if (first === '{') return this.#object(key, depth)
    if (first === '[') return this.#array(key, depth)
    const scalar = this.#match(first === '"' ? string : /[-\d]/.test(first ?? '') ? number : word)
    if (scalar === null)
      this.#fail(first === '"' ? 'a string that is not ended or holds what JSON does not allow' : 'no value')
    return { value: JSON.parse(scalar), place: { key, value: at, children: new Map() } }
  }

  #object(key: number, depth: number): Located {
    const place: Place = { key, value: this.#at, children: new Map() }
    const entries: [string, unknown][] = []
    this.#at++
    if (this.#text[this.#next()] !== '}') {
      do {
        const at = this.#next()
        const quoted = this.#match(string)
        if (quoted === null) this.#fail('a key in double quotes is missing')
        const name = JSON.parse(quoted) as string
        if (place.children.has(name))
          throw new SyntaxFault(at, `the key ${quoted} stands twice in this object`)
        if (this.#text[this.#next()] !== ':') this.#fail('":" is missing after the key')
        this.#at++
        this.#next()
        const field = this.#value(at, depth + 1)
        place.children.set(name, field.place)
        entries.push([name, field.value])
      } while (this.#comma())
    }
    this.#end('}')
    // fromEntries defines its keys, so that "__proto__" is a field like any other.
    return { value: Object.fromEntries(entries), place }
  }

  #array(key: number, depth: number): Located {
    const place: Place = { key, value: this.#at, children: new Map() }
    const items: unknown[] = []
    this.#at++
    if (this.#text[this.#next()] !== ']') {
      do {
        const item = this.#value(this.#next(), depth + 1)
        place.children.set(String(items.length), item.place)
        items.push(item.value)
      } while (this.#comma())
    }
    this.#end(']')
    return { value: items, place }
  }

  #comma(): boolean {
    if (this.#text[this.#next()] !== ',') return false
    this.#at++
    return true
  }

  #end(bracket: string): void {
    if (this.#text[this.#next()] !== bracket) this.#fail(`"," or "${bracket}" is missing`)
    this.#at++
  }

  /** Skips blanks. */
  #next(): number {
    this.#match(blank)
    return this.#at
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? null
    this.#at += found?.length ?? 0
    return found
  }

  #fail(message: string): never {
    throw new SyntaxFault(this.#at, message)
  }
}
