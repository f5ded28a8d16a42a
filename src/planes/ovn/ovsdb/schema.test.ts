import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from './framing.ts'
import type { TableSpec } from './ovsdb.ts'
import { chooseColumns, kindOf, parseSchema } from './schema.ts'

const json = {
  name: 'Library',
  version: '1.2.3',
  tables: {
    Book: {
      columns: {
        title: { type: 'string' },
        pages: { type: { key: { type: 'integer', minInteger: 1 } } },
        subtitle: { type: { key: 'string', min: 0 } },
        authors: { type: { key: { type: 'uuid', refTable: 'Author' }, min: 0, max: 'unlimited' } },
        marks: { type: { key: 'integer', min: 0, max: 4 } },
        notes: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
        price: { type: 'real' },
      },
    },
  },
}
const schema = parseSchema(json)

describe('the schema', () => {
  it('tells the kind of each column', () => {
    const columns = [...(schema.tables.get('Book') ?? [])].map(([name, type]) => [name, kindOf(type)])
    expect(Object.fromEntries(columns)).toEqual({
      _uuid: 'uuid',
      _version: 'uuid',
      title: 'string',
      pages: 'integer',
      subtitle: 'optional',
      authors: 'set',
      marks: 'set',
      notes: 'map',
      price: 'real',
    })
    expect([schema.name, schema.version]).toEqual(['Library', '1.2.3'])
  })

  it('is read or refused, whatever comes', () => {
    const anything = fc.oneof(
      fc.jsonValue(),
      fc.jsonValue().map((tables) => ({ name: 'x', tables })),
      fc.jsonValue().map((columns) => ({ name: 'x', tables: { T: { columns } } })),
      fc.jsonValue().map((type) => ({ name: 'x', tables: { T: { columns: { c: { type } } } } })),
    )
    fc.assert(
      fc.property(anything, (json) => {
        try {
          expect(parseSchema(json).name).toBeTypeOf('string')
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError)
        }
      }),
    )
  })
})

describe('the columns', () => {
  it('are those required, and of those wanted the ones that are there', () => {
    const spec: TableSpec = {
      required: { title: 'string', authors: 'set' },
      wanted: { notes: 'map', isbn: 'string', pages: 'string' },
    }
    const chosen = chooseColumns(schema, { Book: spec }) as ReadonlyMap<string, ReadonlyMap<string, unknown>>
    expect([...chosen.keys()]).toEqual(['Book'])
    expect([...(chosen.get('Book')?.keys() ?? [])]).toEqual(['title', 'authors', 'notes'])
  })

  it.each<[string, string, TableSpec]>([
    ['lacks table Shelf', 'Shelf', { required: {} }],
    ['lacks column isbn of table Book', 'Book', { required: { title: 'string', isbn: 'string' } }],
    [
      'has column subtitle of table Book as optional instead of string',
      'Book',
      { required: { subtitle: 'string' } },
    ],
    ['has column price of table Book as real instead of integer', 'Book', { required: { price: 'integer' } }],
  ])('are refused by name: %s', (expected, table, spec) => {
    expect(chooseColumns(schema, { [table]: spec })).toBe(expected)
  })
})
