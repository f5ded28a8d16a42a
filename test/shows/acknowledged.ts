import type { Row } from '../../src/store/store.ts'

/*
 * A stream of transactions by which a store shows after a crash whether it kept every acknowledged one whole.
 *
 * Each lane has one transaction under way at a time. Transaction n of a lane sets both of its heads to n, adds row n to its
 * log and drops row n - 20.
 */
const kept = 20

export const transaction = (lane: number, n: number): Row[] => [
  { bucket: 'head', key: `${lane}.a`, value: `${n}` },
  { bucket: 'log', key: `${lane}/${n}`, value: payload(lane, n) },
  ...(n > kept ? [{ bucket: 'log', key: `${lane}/${n - kept}`, value: null }] : []),
  { bucket: 'head', key: `${lane}.b`, value: `${n}` },
]

const payload = (lane: number, n: number): string => `${lane} ${n} `.repeat(10 + (n % 50))

export type Rows = readonly (readonly [key: string, value: string])[]

/** The last transaction of each lane that a store holds. */
export function heads(head: Rows): Map<number, number> {
  return new Map(
    head
      .filter(([key]) => key.endsWith('.a'))
      .map(([key, value]) => [Number.parseInt(key, 10), Number(value)]),
  )
}

/** What is wrong with the rows found after a crash, given the last acknowledged transaction of each lane; empty: nothing. */
export function violations(head: Rows, log: Rows, acknowledged: ReadonlyMap<number, number>): string[] {
  const wrong: string[] = []
  const values = new Map(head)
  const rows = new Map(log)
  const lanes = new Set([...acknowledged.keys(), ...heads(head).keys()])
  for (const lane of lanes) {
    const a = Number(values.get(`${lane}.a`) ?? 0)
    const b = Number(values.get(`${lane}.b`) ?? 0)
    const acked = acknowledged.get(lane) ?? 0
    if (a !== b) wrong.push(`lane ${lane}: half of a transaction (a is at ${a}, b at ${b})`)
    if (a < acked) wrong.push(`lane ${lane}: acknowledged ${acked}, found ${a}`)
    if (a > acked + 1)
      wrong.push(`lane ${lane}: found ${a}, although ${acked + 1} was the last that was asked for`)
    for (let n = Math.max(1, a - kept + 1); n <= a; n++) {
      if (rows.get(`${lane}/${n}`) !== payload(lane, n))
        wrong.push(`lane ${lane}: row ${n} is missing or other than written`)
      rows.delete(`${lane}/${n}`)
    }
  }
  return [...wrong, ...[...rows.keys()].map((key) => `row ${key} should not be there`)]
}
