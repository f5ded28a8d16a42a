import { invalid } from '../model/refusal.ts'

/** Deepest nesting of a request body; the model needs three levels. */
const maxDepth = 32

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The JSON value of a request body, read as Go's decoder does: the first value counts, text after it is ignored, an
 * empty body is `EOF`, one cut short `unexpected EOF`, `null` stands for all fields absent.
 *
 * @throws Refusal `invalid`
 */
export function decodeBody(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    throw invalid('the body is not valid UTF-8')
  }
  const start = text.search(/[^ \t\r\n]/)
  if (start < 0) throw invalid('EOF')
  const end = endOfValue(text, start)
  try {
    return (JSON.parse(text.slice(start, end)) as unknown) ?? {}
  } catch (error) {
    throw invalid(`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Where the value that begins at `start` ends. Objects and arrays end with their bracket, other values with the text. */
function endOfValue(text: string, start: number): number {
  if (text[start] !== '{' && text[start] !== '[') {
    return text.startsWith('null', start) ? start + 4 : text.length
  }
  let depth = 0
  let inString = false
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (inString) {
      if (character === '\\') at++
      else if (character === '"') inString = false
    } else if (character === '"') inString = true
    else if (character === '{' || character === '[') {
      if (++depth > maxDepth) throw invalid(`the body is nested deeper than ${maxDepth} levels`)
    } else if ((character === '}' || character === ']') && --depth === 0) return at + 1
  }
  throw invalid('unexpected EOF: the body ends within a value')
}
