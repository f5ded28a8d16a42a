import { Piece } from './headPiece.ts'
import { describe, expect, it } from 'vitest'
import { beginBody, Body, decode } from './body.ts'
import { beginHead, BY_CLOSE, DONE, GET, HEAD, Head, MORE, type Outcome, REFUSED } from './head.ts'
import { bytesOf } from './headCharacters.ts'
import { FieldNames } from './headNames.ts'
import { reasons } from './headRefusals.ts'
import { droppedKinds, writeRequestHead } from './headWrite.ts'
import { scanRequest, scanResponse } from './scanner.ts'
import { type PassedOn, type RefusedWith, smugglingCases } from './smuggling.ts'
import { type SmugglingResponse, smugglingResponses } from './smugglingResponses.ts'

const names = new FieldNames()
const ways = { 'in one piece': (length: number) => length, 'byte by byte': () => 1 }

/** Calls with a longer and longer beginning, until there is an outcome or no more bytes. */
function fed(bytes: Uint8Array, from: number, step: number, take: (end: number) => Outcome): Outcome {
  let outcome: Outcome = MORE
  for (let end = from; outcome === MORE && end < bytes.length;) {
    end = Math.min(bytes.length, end + step)
    outcome = take(end)
  }
  return outcome
}

/** The body behind a head, decoded; null where it is refused or has no end. */
function bodyOf(head: Head, bytes: Uint8Array, step: number, body: Body): string | null {
  beginBody(body, head)
  let data = ''
  const take = (end: number): Outcome => {
    const at = body.at
    const copy = bytes.slice()
    const outcome = decode(body, copy, at, end)
    if (outcome !== REFUSED) data += Buffer.from(copy.subarray(at, body.dataEnd)).toString('latin1')
    return outcome
  }
  const outcome = take(head.end) === DONE ? DONE : fed(bytes, head.end, step, take)
  return outcome === DONE || (outcome === MORE && head.framing === BY_CLOSE) ? data : null
}

/** The target that is passed on, with nothing left out. */
function targetOf(head: Head, bytes: Uint8Array): string {
  const into = new Uint8Array(16_384)
  writeRequestHead(
    head,
    bytes,
    head.pathStart,
    bytesOf(''),
    new Piece('h'),
    droppedKinds(names),
    into,
    0,
    into.length,
  )
  return Buffer.from(into).toString('latin1').split(' ', 2)[1] ?? ''
}

function requestsIn(text: string, step: number): (PassedOn | RefusedWith)[] {
  const bytes = bytesOf(text)
  const head = new Head(names)
  const body = new Body()
  const found: (PassedOn | RefusedWith)[] = []
  for (let at = 0; at < bytes.length; at = body.at) {
    beginHead(head, at)
    const outcome = fed(bytes, at, step, (end) => scanRequest(head, bytes, end))
    if (outcome === REFUSED) return [...found, { status: reasons[head.refusal]!.status }]
    expect(outcome).toBe(DONE)
    const target = targetOf(head, bytes)
    const data = bodyOf(head, bytes, step, body)
    if (data === null) return [...found, { status: reasons[body.refusal]!.status, target }]
    found.push({ target, body: data })
  }
  return found
}

function responseIn({ bytes: text, method }: SmugglingResponse, step: number): SmugglingResponse['expected'] {
  const bytes = bytesOf(text)
  const head = new Head(names)
  beginHead(head, 0)
  const asked = method === 'HEAD' ? HEAD : GET
  const outcome = fed(bytes, 0, step, (end) => scanResponse(head, bytes, end, asked))
  if (outcome === REFUSED) return { status: 502, body: '', reusable: false }
  expect(outcome).toBe(DONE)
  const body = bodyOf(head, bytes, step, new Body())
  return { status: head.status, body, reusable: body !== null && head.keepAlive }
}

describe.each(Object.entries(ways))('smuggling, %s', (_, step) => {
  it.each(smugglingCases)('$name', ({ bytes, expected }) => {
    expect(requestsIn(bytes, step(bytes.length))).toEqual(expected)
  })

  it.each(smugglingResponses)('response: $name', (response) => {
    expect(responseIn(response, step(response.bytes.length))).toEqual(response.expected)
  })
})

it('is a corpus of at least 60 requests, each by its own name', () => {
  expect(smugglingCases.length).toBeGreaterThanOrEqual(60)
  expect(new Set(smugglingCases.map(({ name }) => name)).size).toBe(smugglingCases.length)
})
