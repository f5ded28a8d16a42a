import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ExchangeEnd } from './policy.ts'
import { AccessLog, LoggedText, readRecord, targetLimit } from './proxyLog.ts'
import { LogLines } from './proxyLogLines.ts'
import { latencyBucket, latencyBuckets, latencyFloor } from './proxyCounters.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const end: ExchangeEnd = {
  upstream: 3,
  outcome: 'timeout',
  status: 504,
  requestBytes: 12,
  responseBytes: 5_000_000_000,
  milliseconds: 1.5,
}

function text(target: string): LoggedText {
  const kept = new LoggedText()
  const from = bytes(`GET ${target} `)
  kept.keep(bytes('10.0.0.1 rest'), 8, from, 0, 3, 4, 4 + target.length)
  return kept
}

describe('the access log', () => {
  it('is read in another thread as it was written', () => {
    const log = new AccessLog(4)
    const reader = new AccessLog(log.memory)
    log.write(1_700_000_000_000, text('/a'), end)
    const records: unknown[] = []
    expect(reader.drain((record) => records.push(readRecord(record)))).toBe(0)
    expect(records).toEqual([
      { ...end, time: 1_700_000_000_000, client: '10.0.0.1', method: 'GET', target: '/a' },
    ])
    expect(reader.drain((record) => records.push(readRecord(record)))).toBe(0)
    expect(records).toHaveLength(1)
  })

  it('keeps the newest and tells how many were lost', () => {
    const log = new AccessLog(4)
    for (let index = 0; index < 7; index++) log.write(index, text(`/${index}`), end)
    const targets: string[] = []
    expect(log.drain((record) => targets.push(readRecord(record).target))).toBe(3)
    expect(targets).toEqual(['/3', '/4', '/5', '/6'])
  })

  it('has every record once and in order, however writing and reading take turns', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4), { maxLength: 60 }), (turns) => {
        const log = new AccessLog(4)
        const reader = new AccessLog(log.memory)
        const targets: string[] = []
        let written = 0
        for (const turn of turns) {
          for (let index = 0; index < turn; index++) log.write(0, text(`/${written++}`), end)
          expect(reader.drain((record) => targets.push(readRecord(record).target))).toBe(0)
        }
        expect(targets).toEqual(Array.from({ length: written }, (_, index) => `/${index}`))
      }),
    )
  })

  it('cuts long targets', () => {
    const log = new AccessLog(1)
    log.write(0, text(`/${'x'.repeat(500)}`), end)
    log.drain((record) => expect(readRecord(record).target).toHaveLength(targetLimit))
  })

  it('refuses a size that is no power of two', () => {
    expect(() => new AccessLog(3)).toThrow(/power of two/)
  })
})

describe('lines of the access log', () => {
  it.each([
    [Date.UTC(2026, 10, 21, 17, 38, 1, 7), { ...end, upstream: 3 }, '504 timeout 1.500 12 5000000000'],
    [
      Date.UTC(1999, 0, 1),
      { ...end, upstream: -1, outcome: 'completed', status: 200, milliseconds: 0 },
      '200 completed 0.000 12 5000000000',
    ],
    [
      1e12 + 999.9,
      { ...end, milliseconds: 12_345.6789, requestBytes: 10, responseBytes: 9 },
      '504 timeout 12345.679 10 9',
    ],
  ] as const)('tell the request that ended at %s', (time, of, rest) => {
    const log = new AccessLog(1)
    const lines = new LogLines()
    log.write(time, text('/a?b'), of)
    log.drain((record) => lines.add(record, record.upstream < 0 ? '-' : '127.0.0.11:80'))
    const instance = of.upstream < 0 ? '-' : '127.0.0.11:80'
    const iso = new Date(time).toISOString()
    expect(lines.bytes.toString()).toBe(`${iso} 10.0.0.1 GET /a?b ${instance} ${rest}\n`)
  })

  it('are as many as there are requests, and begin anew when cleared', () => {
    const log = new AccessLog(1024)
    const lines = new LogLines()
    for (let index = 0; index < 1024; index++) log.write(index, text(`/${'x'.repeat(100)}${index}`), end)
    log.drain((record) => lines.add(record, 'i'))
    const all = lines.bytes.toString().trimEnd().split('\n')
    expect(all.map((line) => /x+(\d+) i 504/.exec(line)?.[1])).toEqual(all.map((_, index) => `${index}`))
    expect(all).toHaveLength(1024)
    lines.clear()
    expect(lines.bytes).toHaveLength(0)
  })
})

describe('the latency histogram', () => {
  it('has buckets whose floors are in order, each holding its own', () => {
    const floors = Array.from({ length: latencyBuckets }, (_, bucket) => latencyFloor(bucket))
    expect(floors).toEqual([...floors].sort((a, b) => a - b))
    expect(floors.map(latencyBucket)).toEqual(floors.map((_, bucket) => bucket))
  })

  it.each([
    [-1, 0],
    [0.003, 3],
    [1e12, latencyBuckets - 1],
  ])('puts %s ms into bucket %s', (milliseconds, bucket) => {
    expect(latencyBucket(milliseconds)).toBe(bucket)
  })
})
