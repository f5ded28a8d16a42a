import type { KeyEvent, Pair, Position } from './zone.ts'

/** etcd's v3 gateway: bytes are base64, 64-bit numbers are strings, what has its default value is absent. */

export interface RangePage extends Position {
  readonly pairs: readonly Pair[]
  readonly more: boolean
  /** Keys of the whole range. */
  readonly count: number
}

export interface WatchMessage {
  readonly revision: number
  readonly created: boolean
  readonly events: readonly KeyEvent[]
  /** Why the watch ended; null while it goes on. */
  readonly canceled: string | null
  /** The oldest revision that is left, where that is why; else 0. */
  readonly compactRevision: number
}

/** What came is not what etcd sends. */
export class WireError extends Error {}

type Fields = Readonly<Record<string, unknown>>

/** All keys that begin with `prefix`, which ends in `/`. */
export function prefixRange(prefix: string): { readonly key: string; readonly range_end: string } {
  // The byte behind '/'.
  return { key: base64(prefix), range_end: base64(`${prefix.slice(0, -1)}0`) }
}

/** The smallest key behind `key`. */
export const behind = (key: string): string => base64(`${key}\0`)

export const base64 = (text: string): string => Buffer.from(text).toString('base64')

export function readRange(message: unknown): RangePage {
  const fields = object(message, 'the answer')
  return {
    ...readPosition(fields),
    pairs: list(fields['kvs']).map(readPair),
    more: fields['more'] === true,
    count: integer(fields['count']),
  }
}

/** A transaction that puts a value, if the key's is still that of a revision. */
export function putIf(key: string, modRevision: number, value: string): object {
  const encoded = base64(key)
  return {
    compare: [{ key: encoded, target: 'MOD', result: 'EQUAL', mod_revision: String(modRevision) }],
    success: [{ request_put: { key: encoded, value: base64(value) } }],
  }
}

/** @returns the revision that a transaction made; null: what it compares was not so */
export function readPut(message: unknown): number | null {
  const fields = object(message, 'the answer')
  return fields['succeeded'] === true ? readPosition(fields).revision : null
}

/** @throws WireError for what is no message of a watch, or the error that etcd sends in its place */
export function readWatch(message: unknown): WatchMessage {
  const { result, error } = object(message, 'a message of the watch')
  if (error !== undefined) {
    const { message: text } = object(error, 'error')
    throw new WireError(typeof text === 'string' ? text : JSON.stringify(error))
  }
  const fields = object(result, 'result')
  const reason = fields['cancel_reason']
  return {
    revision: readPosition(fields).revision,
    created: fields['created'] === true,
    events: list(fields['events']).map(readEvent),
    canceled: fields['canceled'] === true ? (typeof reason === 'string' ? reason : '') : null,
    compactRevision: integer(fields['compact_revision']),
  }
}

function readPosition(fields: Fields): Position {
  const { cluster_id: clusterId, revision } = object(fields['header'], 'header')
  return { clusterId: typeof clusterId === 'string' ? clusterId : '', revision: integer(revision) }
}

function readPair(pair: unknown): Pair {
  const { key, value, mod_revision: modRevision } = object(pair, 'a key')
  return { key: text(key), value: text(value), modRevision: integer(modRevision) }
}

function readEvent(event: unknown): KeyEvent {
  const { type, kv } = object(event, 'an event')
  const pair = readPair(kv)
  return type === 'DELETE' ? { ...pair, value: null } : pair
}

function object(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new WireError(`${what} is no JSON object`)
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined) return []
  if (Array.isArray(value)) return value
  throw new WireError('a list is none')
}

function text(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value === 'string') return Buffer.from(value, 'base64').toString()
  throw new WireError('bytes are not in base64')
}

function integer(value: unknown): number {
  const number = value === undefined ? 0 : Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new WireError(`${JSON.stringify(value)} is no whole number`)
}

/** Takes a stream of bytes apart into its lines, whose ends may fall anywhere. @throws WireError for a line over `limit` bytes */
export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  limit: number,
): AsyncGenerator<string, void, void> {
  let parts: Buffer[] = []
  let length = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      yield Buffer.concat([...parts, chunk.subarray(start, end)]).toString()
      parts = []
      length = 0
      start = end + 1
    }
    if (start === chunk.length) continue
    parts.push(chunk.subarray(start))
    length += chunk.length - start
    if (length > limit) throw new WireError(`a line is longer than ${limit} bytes`)
  }
  if (length > 0) yield Buffer.concat(parts).toString()
}
