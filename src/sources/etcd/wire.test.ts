import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { behind, linesOf, prefixRange, putIf, readPut, readRange, readWatch, WireError } from './wire.ts'

const header = { cluster_id: '2405515272813850568', member_id: '14315994196562016467', revision: '3' }

describe("etcd's JSON", () => {
  it('has keys in base64; a prefix ends with its slash', () => {
    expect(prefixRange('golb/function/zone-b/')).toEqual({
      key: btoa('golb/function/zone-b/'),
      range_end: btoa('golb/function/zone-b0'),
    })
    expect(behind('a')).toBe(btoa('a\0'))
  })

  it('says what a range holds, without what has its default value', () => {
    const kvs = [
      { key: btoa('a'), create_revision: '2', mod_revision: '3', version: '1', value: btoa('{}') },
      { key: btoa('b'), mod_revision: '2' },
    ]
    expect(readRange({ header, kvs, more: true, count: '7' })).toEqual({
      clusterId: '2405515272813850568',
      revision: 3,
      pairs: [
        { key: 'a', value: '{}', modRevision: 3 },
        { key: 'b', value: '', modRevision: 2 },
      ],
      more: true,
      count: 7,
    })
    expect(readRange({ header })).toMatchObject({ pairs: [], more: false, count: 0 })
  })

  it('says what a watch saw', () => {
    const put = { kv: { key: btoa('a'), mod_revision: '3', value: 'w7w=' } }
    const gone = { type: 'DELETE', kv: { key: btoa('a'), mod_revision: '4' } }
    expect(readWatch({ result: { header, events: [put, gone] } })).toEqual({
      revision: 3,
      created: false,
      events: [
        { key: 'a', value: 'ü', modRevision: 3 },
        { key: 'a', value: null, modRevision: 4 },
      ],
      canceled: null,
      compactRevision: 0,
    })
    expect(readWatch({ result: { header, created: true } })).toMatchObject({ created: true, events: [] })
    expect(readWatch({ result: { header, canceled: true, compact_revision: '9' } })).toMatchObject({
      canceled: '',
      compactRevision: 9,
    })
    expect(() => readWatch({ error: { grpc_code: 14, message: 'etcdserver: no leader' } })).toThrow(
      'no leader',
    )
  })

  it.each<unknown>([
    null,
    [],
    'x',
    {},
    { header: 1 },
    { header, kvs: {} },
    { header, kvs: [null] },
    { header, kvs: [{ key: 5 }] },
    { header, count: '1e99' },
    { header: { revision: 'x' } },
  ])('%j is none', (message) => {
    expect(() => readRange(message)).toThrow(/is no|is none|not in base64/)
    expect(() => readWatch(message)).toThrow(/is no/)
  })
})

describe('lines of a stream', () => {
  const lines = async (chunks: readonly Buffer[], limit = 1000): Promise<string[]> =>
    await Array.fromAsync(linesOf(Readable.from(chunks), limit))

  it('are the same wherever the chunks end, within characters too', async () => {
    const text = fc.array(
      fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', '')),
      { maxLength: 5 },
    )
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat(40), { maxLength: 10 }), async (wanted, cuts) => {
        const bytes = Buffer.from(wanted.map((line) => `${line}\n`).join(''))
        const places = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b),
          bytes.length,
        ]
        const chunks = places.slice(1).map((place, i) => bytes.subarray(places[i], place))
        expect(await lines(chunks)).toEqual(wanted)
      }),
    )
  })

  it('may lack the last end, and are bounded', async () => {
    expect(await lines([Buffer.from('a\nb')])).toEqual(['a', 'b'])
    await expect(lines([Buffer.alloc(600, 'x'), Buffer.alloc(600, 'x')])).rejects.toThrow(
      'longer than 1000 bytes',
    )
  })
})

describe('a put on a condition', () => {
  it('is a transaction that compares the revision of the key', () => {
    expect(putIf('k', 7, 'é')).toEqual({
      compare: [{ key: 'aw==', target: 'MOD', result: 'EQUAL', mod_revision: '7' }],
      success: [{ request_put: { key: 'aw==', value: 'w6k=' } }],
    })
  })

  it.each([
    [{ header: { revision: '8' }, succeeded: true, responses: [{}] }, 8],
    [{ header: { revision: '8' } }, null],
  ])('%j is answered by %s', (answer, revision) => {
    expect(readPut(answer)).toBe(revision)
  })

  it('is answered by an object', () => {
    expect(() => readPut([])).toThrow(WireError)
  })
})
