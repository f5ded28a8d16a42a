import * as fc from 'fast-check'
import type { Pick, Scheduler, SchedulerOptions, Table } from './scheduler.ts'

/** Tables, picks and generators for the tests of the schedulers. */

export interface Row {
  name: string
  weight: number
  maxWeight: number
  active: number
  inactive: number
  overloaded: boolean
}

/** A table of the rows given; destinations are called A, B, C … and have weight 1 where a row does not say otherwise. */
export const tableOf = (rows: readonly Partial<Row>[]): Table => ({
  size: rows.length,
  weight: Int32Array.from(rows, (row) => row.weight ?? 1),
  maxWeight: Int32Array.from(rows, (row) => row.maxWeight ?? row.weight ?? 1),
  active: Int32Array.from(rows, (row) => row.active ?? 0),
  inactive: Int32Array.from(rows, (row) => row.inactive ?? 0),
  overloaded: Uint8Array.from(rows, (row) => (row.overloaded === true ? 1 : 0)),
  name: rows.map((row, index) => row.name ?? String.fromCodePoint(65 + index)),
})

export const weights = (...values: number[]): Table => tableOf(values.map((weight) => ({ weight })))

/** Puts other rows into a table in place, as the owner of a table does before it calls `changed`. */
export const become = (table: Table, rows: readonly Partial<Row>[]): void => {
  Object.assign(table, tableOf(rows))
}

export const plain: SchedulerOptions = { fallback: false, port: false }

export const ipv4 = (text: string): Uint8Array => Uint8Array.from(text.split('.'), Number)

export const pickOf = (over: Partial<Pick> = {}): Pick => ({
  source: ipv4('10.0.0.1'),
  sourcePort: 40_000,
  destination: ipv4('192.0.2.1'),
  destinationPort: 80,
  now: 0,
  random: () => 0,
  ...over,
})

/** Names of the destinations picked one after the other; `-` where there was none. */
export const sequence = (scheduler: Scheduler, table: Table, length: number, pick = pickOf()): string =>
  Array.from({ length }, () => table.name[scheduler.pick(table, pick)] ?? '-').join('')

export const anyWeight = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 65_535 }),
  fc.nat(0x7fffffff),
)
const anyCount = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.nat(0x7fffffff))

/** Destinations of every kind: drained, down, overloaded, idle, with counts up to the edge of 32 bits. */
export const anyRows = fc
  .array(
    fc.record({
      weight: anyWeight,
      maxWeight: anyWeight,
      active: anyCount,
      inactive: anyCount,
      overloaded: fc.boolean(),
    }),
    { maxLength: 12 },
  )
  .map((rows) => rows.map((row, index) => ({ ...row, name: `10.0.0.${index}:80` })))

export const anyAddress = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
)
