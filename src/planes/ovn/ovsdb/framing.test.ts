import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError, Splitter } from './framing.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

/** `data` in pieces of these lengths, again and again. */
function pieces(data: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const cut: Uint8Array[] = []
  for (let at = 0, i = 0; at < data.length; i++) {
    const length = lengths[i % lengths.length] ?? 1
    cut.push(data.subarray(at, at + length))
    at += length
  }
  return cut
}

const json = fc.jsonValue({ stringUnit: 'binary', maxDepth: 2 })

describe('the splitter', () => {
  it.each([
    ['one object', '{"a":1}', ['{"a":1}']],
    ['two without anything between', '{"a":1}{"b":2}', ['{"a":1}', '{"b":2}']],
    ['space between', ' {}\r\n\t{} ', ['{}', '{}']],
    ['nested objects', '{"a":{"b":[{}]}}{}', ['{"a":{"b":[{}]}}', '{}']],
    ['braces in texts', '{"}{":"{"}{}', ['{"}{":"{"}', '{}']],
    ['escaped quotes', '{"a":"\\"}\\\\"}{}', ['{"a":"\\"}\\\\"}', '{}']],
    ['an unfinished object', '{}{"a":{}', ['{}']],
    ['brackets that do not fit, which the parser of JSON judges', '{"a":]}', ['{"a":]}']],
  ])('cuts %s', (_, text, expected) => {
    expect(new Splitter().push(bytes(text))).toEqual(expected)
  })

  it('gives what was sent, in whatever pieces it comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.string({ unit: 'binary', maxLength: 5 }), json, { maxKeys: 3 }), {
          maxLength: 4,
        }),
        fc.constantFrom('', ' ', '\n'),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
        (messages, between, lengths) => {
          const texts = messages.map((message) => JSON.stringify(message))
          const splitter = new Splitter()
          const got = pieces(bytes(texts.join(between)), lengths).flatMap((piece) => splitter.push(piece))
          expect(got).toEqual(texts)
        },
      ),
    )
  })

  it('ends in texts or a ProtocolError whatever comes, in whatever pieces', () => {
    const run = (data: Uint8Array, lengths: readonly number[]): string => {
      const splitter = new Splitter(100)
      const texts: string[] = []
      try {
        for (const piece of pieces(data, lengths)) texts.push(...splitter.push(piece))
        return texts.join('|')
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError)
        return 'refused'
      }
    }
    const hostile = fc.array(fc.constantFrom('{', '}', '"', '\\', ' ', 'x', '[', 'é'), { maxLength: 300 })
    fc.assert(
      fc.property(hostile, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (parts, lengths) => {
        const data = bytes(parts.join(''))
        expect(run(data, lengths)).toBe(run(data, [1000]))
      }),
    )
  })

  it.each([
    ['something else than an object', new Splitter(), ['[1]']],
    ['a closing brace before any other', new Splitter(), ['}']],
    ['a message without end', new Splitter(10), ['{"a":"', 'xxxxx', 'xxxxx']],
    ['a message that is too long as a whole', new Splitter(10), ['{"a":"xxxxxxxxx"}']],
  ])('refuses %s', (_, splitter, parts) => {
    expect(() => parts.map((part) => splitter.push(bytes(part)))).toThrow(ProtocolError)
  })
})
