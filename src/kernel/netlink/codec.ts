import { endianness } from 'node:os'

/** Netlink speaks the byte order of the host. */
export const littleEndian = endianness() === 'LE'

/** How a value lies in bytes. */
export interface Codec<T> {
  /** Nested attributes say so in their header. */
  readonly nested?: true
  write(out: Writer, value: T): void
  /** `length` bytes from `at` are there; undefined where these are too few. */
  read(view: DataView, at: number, length: number): T | undefined
}

export type ValueOf<C> = C extends Codec<infer T> ? T : never

/** A number, whose size is known. */
export interface Scalar extends Codec<number> {
  readonly size: number
}

/** Bytes that grow; what `reset` leaves is written over, so that one buffer serves all messages of a socket. */
export class Writer {
  view: DataView
  bytes: Uint8Array
  length = 0

  constructor(capacity = 4096) {
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Room for `size` more bytes, with anything in them. @returns where they begin */
  extend(size: number): number {
    const at = this.length
    this.length += size
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(this.length, this.bytes.length * 2))
      grown.set(this.bytes)
      this.bytes = grown
      this.view = new DataView(grown.buffer)
    }
    return at
  }

  /** Zeroes up to the next multiple of four, where netlink begins all that it has. */
  align(): void {
    const at = this.extend(-this.length & 3)
    this.bytes.fill(0, at, this.length)
  }

  reset(length = 0): void {
    this.length = length
  }

  /** What was written; valid until the next write. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const scalar = (
  size: number,
  set: (view: DataView, at: number, value: number) => void,
  get: (view: DataView, at: number) => number,
): Scalar => ({
  size,
  write: (out, value) => {
    const at = out.extend(size)
    set(out.view, at, value)
  },
  read: (view, at, length) => (length < size ? undefined : get(view, at)),
})

export const u8 = scalar(
  1,
  (view, at, value) => view.setUint8(at, value),
  (view, at) => view.getUint8(at),
)
export const u16 = scalar(
  2,
  (view, at, value) => view.setUint16(at, value, littleEndian),
  (view, at) => view.getUint16(at, littleEndian),
)
export const u32 = scalar(
  4,
  (view, at, value) => view.setUint32(at, value, littleEndian),
  (view, at) => view.getUint32(at, littleEndian),
)
export const s32 = scalar(
  4,
  (view, at, value) => view.setInt32(at, value, littleEndian),
  (view, at) => view.getInt32(at, littleEndian),
)
/** Exact up to 2^53: a counter of bytes is beyond that after 9 petabytes, and then rounded. */
export const u64 = scalar(
  8,
  (view, at, value) => {
    view.setUint32(littleEndian ? at + 4 : at, Math.floor(value / 2 ** 32), littleEndian)
    view.setUint32(littleEndian ? at : at + 4, value % 2 ** 32, littleEndian)
  },
  (view, at) =>
    view.getUint32(littleEndian ? at + 4 : at, littleEndian) * 2 ** 32 +
    view.getUint32(littleEndian ? at : at + 4, littleEndian),
)
export const be16 = scalar(
  2,
  (view, at, value) => view.setUint16(at, value),
  (view, at) => view.getUint16(at),
)
export const be32 = scalar(
  4,
  (view, at, value) => view.setUint32(at, value),
  (view, at) => view.getUint32(at),
)

/** As they are, such as addresses. */
export const bytes: Codec<Uint8Array> = {
  write: (out, value) => {
    const at = out.extend(value.length)
    out.bytes.set(value, at)
  },
  read: (view, at, length) => new Uint8Array(view.buffer, view.byteOffset + at, length).slice(),
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Text that ends with a zero byte. */
export const string: Codec<string> = {
  write: (out, value) => {
    // UTF-8 has at most three bytes for a unit of UTF-16.
    const at = out.extend(value.length * 3 + 1)
    const { written } = encoder.encodeInto(value, out.bytes.subarray(at))
    out.bytes[at + written] = 0
    out.reset(at + written + 1)
  },
  read: (view, at, length) => {
    const text = new Uint8Array(view.buffer, view.byteOffset + at, length)
    const end = text.indexOf(0)
    return decoder.decode(end === -1 ? text : text.subarray(0, end))
  },
}

/** There or not, without a value. */
export const presence: Codec<true> = {
  write: () => {},
  read: () => true,
}

type StructFields = Readonly<Record<string, Scalar>>
type StructValue<F extends StructFields> = { readonly [N in keyof F]: number }

/** A C struct of scalars, in the order of the table; the kernel's headers pad theirs with fields. */
export function struct<const F extends StructFields>(
  fields: F,
): Codec<StructValue<F>> & { readonly size: number } {
  const list = Object.entries(fields)
  const size = list.reduce((sum, [, field]) => sum + field.size, 0)
  return {
    size,
    write: (out, value) => {
      for (const [name, field] of list) field.write(out, value[name] ?? 0)
    },
    read: (view, at, length) => {
      if (length < size) return undefined
      const value: Record<string, number> = {}
      let from = at
      for (const [name, field] of list) {
        value[name] = field.read(view, from, field.size) ?? 0
        from += field.size
      }
      return value as StructValue<F>
    },
  }
}
