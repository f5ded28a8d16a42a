import { describe, expect, it } from 'vitest'
import { Refusal } from '../../../model/refusal.ts'
import { ProtocolError } from './framing.ts'
import { decodeResults, encodeOperation } from './operations.ts'
import { OvsdbError, type Operation } from './ovsdb.ts'
import { parseSchema } from './schema.ts'

const schema = parseSchema({
  name: 'Library',
  tables: {
    Book: {
      columns: {
        title: { type: 'string' },
        pages: { type: 'integer' },
        subtitle: { type: { key: 'string', min: 0 } },
        tags: { type: { key: 'string', min: 0, max: 'unlimited' } },
        notes: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
      },
    },
  },
})
const uuid = '8ca68b31-618f-4dcd-bd83-62df76b408af'
const table = 'Book'

describe('operations', () => {
  it.each<[Operation, object]>([
    [
      { op: 'insert', table, row: { title: 'a', subtitle: null, tags: ['x'] }, uuidName: 'b', uuid },
      {
        op: 'insert',
        table,
        row: { title: 'a', subtitle: ['set', []], tags: 'x' },
        'uuid-name': 'b',
        uuid,
      },
    ],
    [
      { op: 'insert', table, row: {} },
      { op: 'insert', table, row: {} },
    ],
    [
      { op: 'update', table, where: { uuid }, row: { notes: { a: 'b' } } },
      {
        op: 'update',
        table,
        where: [['_uuid', '==', ['uuid', uuid]]],
        row: { notes: ['map', [['a', 'b']]] },
      },
    ],
    [
      {
        op: 'mutate',
        table,
        where: [['tags', 'includes', ['x', 'y']]],
        mutations: [
          ['pages', '+=', 1],
          ['notes', 'delete', ['a']],
        ],
      },
      {
        op: 'mutate',
        table,
        where: [['tags', 'includes', ['set', ['x', 'y']]]],
        mutations: [
          ['pages', '+=', 1],
          ['notes', 'delete', 'a'],
        ],
      },
    ],
    [
      { op: 'delete', table, where: [] },
      { op: 'delete', table, where: [] },
    ],
    [
      { op: 'wait', table, where: { uuid }, columns: ['tags'], until: '==', rows: [{ tags: [] }] },
      {
        op: 'wait',
        table,
        timeout: 0,
        where: [['_uuid', '==', ['uuid', uuid]]],
        columns: ['tags'],
        until: '==',
        rows: [{ tags: ['set', []] }],
      },
    ],
    [
      { op: 'select', table, where: [['title', '!=', 'a']], columns: ['pages'] },
      { op: 'select', table, where: [['title', '!=', 'a']], columns: ['pages'] },
    ],
    [
      { op: 'comment', comment: 'why' },
      { op: 'comment', comment: 'why' },
    ],
    [
      { op: 'assert', lock: 'torb' },
      { op: 'assert', lock: 'torb' },
    ],
  ])('are written: %j', (operation, expected) => {
    expect(encodeOperation(schema, operation)).toEqual(expected)
  })

  it.each<[string, Operation]>([
    ['table Shelf', { op: 'delete', table: 'Shelf', where: [] }],
    ['column isbn', { op: 'insert', table, row: { isbn: 'x' } }],
    ['column isbn', { op: 'delete', table, where: [['isbn', '==', 'x']] }],
  ])('of what the schema lacks are refused: %s', (name, operation) => {
    const refused = (): object => encodeOperation(schema, operation)
    expect(refused).toThrow(Refusal)
    expect(refused).toThrow(name)
  })
})

describe('results', () => {
  const operations: readonly Operation[] = [
    { op: 'comment', comment: '' },
    { op: 'insert', table, row: {} },
    { op: 'delete', table, where: [] },
    { op: 'select', table, where: [], columns: ['tags', 'subtitle', 'notes'] },
  ]
  const selected = { tags: 'x', subtitle: ['set', []], notes: ['map', []] }
  const good = [{}, { uuid: ['uuid', uuid] }, { count: 3 }, { rows: [selected] }]
  const failed = { error: 'constraint violation', details: 'too many' }

  it('are one an operation', () => {
    expect(decodeResults(schema, operations, good)).toEqual([
      {},
      { uuid },
      { count: 3 },
      { rows: [{ tags: ['x'], subtitle: null, notes: new Map() }] },
    ])
  })

  it.each([
    ['the first', [failed, null, null, null], 0],
    ['one in the middle', [{}, { uuid: ['uuid', uuid] }, failed, null], 2],
    ['the commit, after all operations', [...good, failed], 4],
  ])('tell which operation failed: %s', (_, json, operation) => {
    let thrown: unknown
    try {
      decodeResults(schema, operations, json)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(OvsdbError)
    expect(thrown).toMatchObject({
      code: 'constraint violation',
      operation,
      message: 'constraint violation: too many',
    })
  })

  it.each([
    ['no array', {}],
    ['too few', good.slice(1)],
    ['one that was not done, without an error', [{}, null, { count: 3 }, { rows: [] }]],
    ['no count', [{}, { uuid: ['uuid', uuid] }, {}, { rows: [] }]],
    ['no uuid', [{}, {}, { count: 3 }, { rows: [] }]],
    ['no rows', [{}, { uuid: ['uuid', uuid] }, { count: 3 }, {}]],
    ['a text', [{}, 'x', {}, {}]],
  ])('are refused: %s', (_, json) => {
    expect(() => decodeResults(schema, operations, json)).toThrow(ProtocolError)
  })
})
