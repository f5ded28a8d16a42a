import fc from 'fast-check'
import { expect, it } from 'vitest'
import { beginHead, DONE, Head } from './head.ts'
import { bytesOf } from './headCharacters.ts'
import { FieldNames } from './headNames.ts'
import { scanResponse } from './scanner.ts'

const names = new FieldNames(['x-watched'])
const line = fc.constantFrom(
  'Content-Length: 20',
  'Content-Length: 21',
  'Connection: keep-alive',
  'Connection:close',
  'Connection: x-a, close',
  'X-A: 1',
  'X-Watched:',
  'ETag: "6740b0ed-14" ',
  `X-Long: ${'y'.repeat(124)}`,
  `X-Most: ${'y'.repeat(114)}`,
  'a:',
)
const text = fc
  .array(line, { maxLength: 40 })
  .map((lines) => `${['HTTP/1.1 200 OK', ...lines].join('\r\n')}\r\n\r\n`)

/** All that a scan found, counted from the beginning of the head. */
function facts(head: Head, message: string, at: number): unknown {
  const bytes = bytesOf(`${' '.repeat(at)}${message}.`)
  beginHead(head, at)
  const outcome = scanResponse(head, bytes, bytes.length, 1)
  const { spans, kinds, fieldCount, refusal, contentLength, keepAlive, framing, end } = head
  if (outcome !== DONE) return { outcome, refusal }
  const from = (span: number): number => span - at
  return {
    spans: [...spans.subarray(0, 4 * fieldCount)].map(from),
    kinds: [...kinds.subarray(0, fieldCount)],
    contentLength,
    keepAlive,
    framing,
    end: from(end),
  }
}

it('a head that remembers lines finds what a fresh one does, wherever the message lies', () => {
  const remembering = new Head(names)
  let known = 0
  fc.assert(
    fc.property(text, fc.nat(70), (message, at) => {
      expect(facts(remembering, message, at)).toEqual(facts(new Head(names), message, at))
      const bytes = bytesOf(message)
      const view = new DataView(bytes.buffer)
      const first = message.indexOf('\r\n') + 2
      if (remembering.known.lengthOf(0, view, first, bytes.length) > 0) known++
    }),
    { numRuns: 2000 },
  )
  expect(known).toBeGreaterThan(100)
})

it('a line is known again only whole', () => {
  const head = new Head(names)
  const message = 'HTTP/1.1 200 OK\r\nX-Abc: defghijkl\r\n\r\n'
  facts(head, message, 0)
  const line = 'X-Abc: defghijkl\r\n'
  const view = new DataView(bytesOf(line).buffer)
  expect(head.known.lengthOf(0, view, 0, line.length)).toBe(line.length)
  expect(head.known.lengthOf(0, view, 0, line.length - 1)).toBe(0)
  expect(head.known.lengthOf(1, view, 0, line.length)).toBe(0)
  for (let index = 0; index < line.length; index++) {
    const other = new DataView(bytesOf(line).buffer)
    other.setUint8(index, other.getUint8(index) ^ 1)
    expect(head.known.lengthOf(0, other, 0, line.length)).toBe(0)
  }
})
