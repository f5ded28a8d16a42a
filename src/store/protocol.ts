import { StoreFull, StoreRefused, type Row } from './store.ts'

/** What the store asks of its worker thread; answered in order. */
export type Request =
  | { readonly op: 'load'; readonly bucket: string }
  /** Commits that waited together: one transaction, each with its own answer. */
  | { readonly op: 'commit'; readonly commits: readonly (readonly Row[])[] }
  | { readonly op: 'close' }

export type Reply =
  | { readonly op: 'open' }
  | { readonly op: 'load'; readonly parts: readonly PackedRows[] }
  /** null: durable. */
  | { readonly op: 'commit'; readonly faults: readonly (Fault | null)[] }
  | { readonly op: 'close' }
  | { readonly op: 'failed'; readonly fault: Fault }

/** An error on its way between threads, where classes are lost. */
export interface Fault {
  readonly kind: StoreRefused['code'] | 'full' | 'failed'
  readonly message: string
}

/** Many rows as two strings: to clone them costs a copy of bytes instead of an object for each row. */
export interface PackedRows {
  readonly keys: string
  readonly values: string
  /** Key length, value length, in turn. */
  readonly lengths: Uint32Array
}

/** V8's longest string has 2^29 characters; a part stays far below. */
const partSize = 16_000_000

export function* packRows(rows: Iterable<readonly [key: string, value: string]>): Generator<PackedRows> {
  let keys: string[] = []
  let values: string[] = []
  let lengths: number[] = []
  let size = 0
  for (const [key, value] of rows) {
    keys.push(key)
    values.push(value)
    lengths.push(key.length, value.length)
    size += key.length + value.length
    if (size < partSize) continue
    yield { keys: keys.join(''), values: values.join(''), lengths: Uint32Array.from(lengths) }
    keys = []
    values = []
    lengths = []
    size = 0
  }
  yield { keys: keys.join(''), values: values.join(''), lengths: Uint32Array.from(lengths) }
}

export function unpackRows(parts: readonly PackedRows[]): [key: string, value: string][] {
  const rows: [string, string][] = []
  for (const { keys, values, lengths } of parts) {
    let key = 0
    let value = 0
    for (let i = 0; i < lengths.length; i += 2) {
      const keyEnd = key + (lengths[i] ?? 0)
      const valueEnd = value + (lengths[i + 1] ?? 0)
      rows.push([keys.slice(key, keyEnd), values.slice(value, valueEnd)])
      key = keyEnd
      value = valueEnd
    }
  }
  return rows
}

export function faultOf(error: unknown, full: boolean): Fault {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof StoreRefused) return { kind: error.code, message }
  return { kind: full ? 'full' : 'failed', message }
}

export function errorOf(fault: Fault): Error {
  if (fault.kind === 'full') return new StoreFull(fault.message)
  if (fault.kind === 'failed') return new Error(fault.message)
  return new StoreRefused(fault.kind, fault.message)
}
