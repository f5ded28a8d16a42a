import { u16, type Codec, type ValueOf } from './codec.ts'

/** linux/netlink.h: struct nlattr is len u16 (with itself), type u16; its top bits are flags. */
const headerLength = 4
const nestedFlag = 0x8000
const typeMask = 0x3fff

/** For each field the attribute's number and how its value lies in bytes. */
// oxlint-disable-next-line typescript/no-explicit-any -- a table holds codecs of any value; each field keeps its own type
export type AttributeTable = Readonly<Record<string, readonly [number: number, codec: Codec<any>]>>

/** The values of a table's fields, all optional: the sender of a message decides which there are. */
export type AttributeValues<T extends AttributeTable> = {
  readonly [N in keyof T]?: ValueOf<T[N][1]> | undefined
}

/**
 * Netlink attributes, as a table describes them; used for a message's attributes and, in a table, for nested ones.
 *
 * Written in the order of the table. Read in any order: what the table does not know and what is too short is skipped, and
 * of an attribute that comes twice the last one counts. Two fields may have one number, where the kernel has two ways to use
 * it: both are read, and one is written.
 */
export function attributes<const T extends AttributeTable>(table: T): Codec<AttributeValues<T>> {
  const fields = Object.entries(table).map(([name, [number, codec]]) => ({ name, number, codec }))
  const byNumber: (typeof fields | undefined)[] = []
  for (const field of fields) (byNumber[field.number] ??= []).push(field)
  return {
    nested: true,
    write: (out, values) => {
      for (const { name, number, codec } of fields) {
        const value: unknown = values[name]
        if (value === undefined) continue
        const start = out.extend(headerLength)
        codec.write(out, value)
        const length = out.length - start
        if (length > 0xffff) {
          throw new RangeError(`netlink attribute ${name} has ${length} bytes, and may have 65535`)
        }
        const end = out.length
        out.reset(start)
        u16.write(out, length)
        u16.write(out, codec.nested ? number | nestedFlag : number)
        out.reset(end)
        out.align()
      }
    },
    read: (view, start, length) => {
      const values: Record<string, unknown> = {}
      const end = start + length
      for (let at = start; at + headerLength <= end;) {
        const size = u16.read(view, at, 2) ?? 0
        if (size < headerLength || at + size > end) break
        for (const { name, codec } of byNumber[(u16.read(view, at + 2, 2) ?? 0) & typeMask] ?? []) {
          const value: unknown = codec.read(view, at + headerLength, size - headerLength)
          if (value !== undefined) values[name] = value
        }
        at += (size + 3) & ~3
      }
      return values as AttributeValues<T>
    },
  }
}
