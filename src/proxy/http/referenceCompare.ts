import { Piece } from './headPiece.ts'
import { advance, beginBody, Body, decode } from './body.ts'
import { beginHead, BY_CHUNKS, DONE, GET, HEAD, Head, type HeadLimits, MORE, type Outcome } from './head.ts'
import { bytesOf } from './headCharacters.ts'
import {
  CONNECTION,
  CONTENT_LENGTH,
  EXPECT,
  FieldNames,
  HOST,
  OTHER,
  TRANSFER_ENCODING,
  UPGRADE,
} from './headNames.ts'
import { reasons } from './headRefusals.ts'
import {
  droppedKinds,
  endHead,
  KEPT_ALIVE,
  writeRequestHead,
  writeResponseFields,
  writeStatusLine,
} from './headWrite.ts'
import {
  type HeadFacts,
  referenceRequest,
  referenceResponse,
  type Treatment,
  type Verdict,
} from './reference.ts'
import { type ChunkFacts, referenceChunks } from './referenceChunks.ts'
import type { Random } from './referenceInputs.ts'
import { scanRequest, scanResponse } from './scanner.ts'

/*
 * The scanner beside its reference: each input in one piece, byte by byte and cut at random; now and then cut at each
 * position, and each beginning of it by itself. What is accepted is written as it would be passed on and parsed again.
 */

export type MessageKind = 'request' | 'response' | 'response to HEAD' | 'chunks'

/** Small, so that inputs of some hundred bytes reach them. */
const limits: HeadLimits = { headBytes: 150, targetBytes: 50, fields: 5 }
const names = new FieldNames()
const dropped = droppedKinds(names)
/** Bytes before the message, so that no position is right by being 0. */
const origin = 7

/**
 * Gives an input to both.
 * @param deep cut at each position, too, and each beginning as an input
 * @returns the verdict of both @throws where they differ
 */
export function compare(kind: MessageKind, text: string, random: Random, deep: boolean): string {
  const expected = reference(kind, text)
  const every = Array.from(text, (_, cut) => cut)
  const twice = [random(text.length + 1), random(text.length + 1)].sort((a, b) => a - b)
  for (const cuts of [[], every, twice, ...(deep ? every.map((cut) => [cut]) : [])]) {
    same(`${kind} ${JSON.stringify(text)} cut at [${cuts.join()}]`, scanned(kind, text, cuts), expected)
  }
  if (deep) for (const end of every) compare(kind, text.slice(0, end), random, false)
  if (expected.verdict === 'refused') return String(expected.status)
  if (expected.verdict === 'done' && kind !== 'chunks') rewrite(kind, text, expected as HeadFacts)
  return expected.verdict
}

function same(what: string, found: unknown, wanted: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(found)}, but it should be ${JSON.stringify(wanted)}`)
  }
}

function reference(kind: MessageKind, text: string): Verdict<HeadFacts | ChunkFacts> {
  if (kind === 'chunks') return referenceChunks(text)
  return kind === 'request'
    ? referenceRequest(text, limits)
    : referenceResponse(text, limits, kind !== 'response')
}

/** Used for all inputs, as a proxy does: what it remembers of one must not change what it says of the next. */
const used = new Head(names, limits)

/** What the scanner makes of an input that comes in pieces. */
function scanned(kind: MessageKind, text: string, cuts: readonly number[]): Verdict<HeadFacts | ChunkFacts> {
  const bytes = bytesOf(' '.repeat(origin) + text)
  const head = used
  beginHead(head, origin)
  if (kind === 'chunks') return chunksScanned(bytes, cuts, head)
  let outcome: Outcome = MORE
  for (const cut of [...cuts, text.length]) {
    outcome = scan(kind, head, bytes, origin + cut)
    if (outcome !== MORE) break
  }
  if (outcome === MORE) return { verdict: 'more' }
  if (outcome !== DONE) return { verdict: 'refused', status: reasons[head.refusal]!.status }
  return { verdict: 'done', ...factsOf(head, bytes) }
}

function scan(kind: MessageKind, head: Head, bytes: Uint8Array, end: number): Outcome {
  if (kind === 'request') return scanRequest(head, bytes, end)
  return scanResponse(head, bytes, end, kind === 'response' ? GET : HEAD)
}

const textOf = (bytes: Uint8Array, start: number, end: number): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')

function factsOf(head: Head, bytes: Uint8Array): HeadFacts {
  const request = head.status === 0
  const { spans } = head
  return {
    start: head.start - origin,
    end: head.end - origin,
    method: request ? textOf(bytes, head.start, head.methodEnd) : '',
    target: request ? textOf(bytes, head.targetStart, head.targetEnd) : '',
    path: request ? textOf(bytes, head.pathStart, head.targetEnd) : '',
    form: head.form,
    status: head.status,
    reason: request ? '' : textOf(bytes, head.reasonStart, head.reasonEnd),
    minor: head.minor,
    fields: Array.from({ length: head.fieldCount }, (_, field) => [
      textOf(bytes, spans[4 * field]!, spans[4 * field + 1]!),
      textOf(bytes, spans[4 * field + 2]!, spans[4 * field + 3]!),
      treatmentOf(head.kinds[field]!),
    ]),
    framing: head.framing,
    contentLength: head.contentLength,
    keepAlive: head.keepAlive,
    upgrade: head.upgrade,
    expectsContinue: head.expectsContinue,
  }
}

function treatmentOf(kind: number): Treatment {
  if (kind === OTHER) return 'pass'
  if (kind === CONTENT_LENGTH) return 'length'
  if (kind === EXPECT) return 'expect'
  return [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE].includes(kind) ? 'own' : 'drop'
}

/** The chunks in pieces, once left as they are and once decoded. */
function chunksScanned(bytes: Uint8Array, cuts: readonly number[], head: Head): Verdict<ChunkFacts> {
  head.framing = BY_CHUNKS
  const passed = new Body()
  const decoded = new Body()
  beginBody(passed, head)
  beginBody(decoded, head)
  let data = ''
  let at = origin
  for (const cut of [...cuts, bytes.length - origin]) {
    const copy = bytes.slice()
    const outcome = advance(passed, bytes, at, origin + cut)
    const other = decode(decoded, copy, at, origin + cut)
    if (outcome !== other || (outcome < 2 && passed.at !== decoded.at))
      throw new Error('decoding ends otherwise than passing on')
    if (outcome < 2) data += textOf(copy, at, decoded.dataEnd)
    if (outcome === DONE) return { verdict: 'done', end: passed.at - origin, data }
    if (outcome !== MORE) return { verdict: 'refused', status: reasons[passed.refusal]!.status }
    at = passed.at
  }
  return { verdict: 'more' }
}

/** What is passed on has the same framing, the fields that it should have, and no others. */
function rewrite(kind: MessageKind, text: string, facts: HeadFacts): void {
  const request = kind === 'request'
  const bytes = bytesOf(' '.repeat(origin) + text)
  const head = new Head(names, limits)
  beginHead(head, origin)
  scan(kind, head, bytes, bytes.length)
  const into = new Uint8Array(600)
  const write = (limit: number): number =>
    request
      ? writeRequestHead(
          head,
          bytes,
          head.pathStart,
          new Uint8Array(0),
          new Piece('up:1'),
          dropped,
          into,
          origin,
          limit,
        )
      : writeResponseFields(
          head,
          bytes,
          KEPT_ALIVE,
          false,
          dropped,
          into,
          writeStatusLine(head, bytes, into, origin, limit),
          limit,
        )
  const written = write(into.length)
  same(
    `${kind} ${JSON.stringify(text)} written to a limit`,
    // What does not fit leaves a part of itself behind.
    [write(written - 1), write(written)],
    [-1, written],
  )
  const end = endHead(into, written, into.length)
  const passedOn = textOf(into, origin, end)
  const wide = { headBytes: 600, targetBytes: 60, fields: 12 }
  const again = request
    ? referenceRequest(passedOn, wide)
    : referenceResponse(passedOn, wide, kind !== 'response')
  const found =
    again.verdict === 'done'
      ? {
          target: again.target,
          status: again.status,
          framing: again.framing,
          end: again.end,
          fields: again.fields.map(([name, value]) => `${name}: ${value}`),
        }
      : again
  const wanted = {
    target: targetOf(facts, request),
    status: facts.status,
    framing: facts.framing,
    end: passedOn.length,
    fields: fieldsPassedOn(facts, request),
  }
  same(`${kind} ${JSON.stringify(text)} passed on as ${JSON.stringify(passedOn)}`, found, wanted)
}

function targetOf({ form, path }: HeadFacts, request: boolean): string {
  if (!request) return ''
  if (form === 2) return '*'
  return path.startsWith('/') ? path : `/${path}`
}

function fieldsPassedOn(facts: HeadFacts, request: boolean): string[] {
  const lengthless =
    !request &&
    (facts.fields.some(([name]) => name.toLowerCase() === 'transfer-encoding') ||
      facts.status < 200 ||
      facts.status === 204)
  const passed = facts.fields.filter(
    ([, , treatment]) =>
      treatment === 'pass' ||
      (treatment === 'length' && !lengthless) ||
      (treatment === 'expect' && !(request && facts.minor === 0)),
  )
  const protocol = facts.fields.find(([name]) => name.toLowerCase() === 'upgrade')?.[1]
  return [
    ...(request ? ['Host: up:1'] : []),
    ...passed.map(([name, value]) => `${name}: ${value}`),
    ...(facts.framing === BY_CHUNKS ? ['Transfer-Encoding: chunked'] : []),
    ...(facts.upgrade
      ? ['Connection: upgrade', `Upgrade: ${protocol}`]
      : request
        ? []
        : ['Connection: keep-alive']),
  ]
}
