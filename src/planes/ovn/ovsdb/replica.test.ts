import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from './framing.ts'
import { Replica, type ReplicaChange } from './replica.ts'
import { parseSchema } from './schema.ts'
import { zeroUuid } from './value.ts'

const columns = new Map(
  [
    ...parseSchema({
      name: 'Library',
      tables: {
        Book: {
          columns: {
            title: { type: 'string' },
            subtitle: { type: { key: 'string', min: 0 } },
            tags: { type: { key: 'string', min: 0, max: 'unlimited' } },
            notes: { type: { key: 'string', value: 'string', min: 0, max: 'unlimited' } },
          },
        },
      },
    }).tables,
  ].map(([table, all]) => [table, new Map([...all].filter(([name]) => !name.startsWith('_')))]),
)

function library(): Replica {
  const replica = new Replica(['Book'])
  replica.columns = columns
  return replica
}

const empty = { title: '', subtitle: null, tags: [], notes: new Map() }

/** A row as a test means it. */
interface Book {
  readonly title: string
  readonly subtitle: string | null
  readonly tags: readonly string[]
  readonly notes: Readonly<Record<string, string>>
}
type Shelf = Readonly<Record<string, Book>>

const letter = fc.constantFrom('a', 'b', 'c')
const book: fc.Arbitrary<Book> = fc.record({
  title: letter,
  subtitle: fc.option(letter),
  tags: fc.uniqueArray(letter).map((tags) => tags.toSorted()),
  notes: fc.dictionary(letter, fc.constantFrom('1', '2')),
})
const shelf: fc.Arbitrary<Shelf> = fc.dictionary(fc.constantFrom('u1', 'u2', 'u3', 'u4'), book)

const set = (atoms: readonly string[]): unknown => ['set', atoms]
const map = (pairs: readonly (readonly [string, string])[]): unknown => ['map', pairs]
const whole = ({ title, subtitle, tags, notes }: Book): object => ({
  title,
  subtitle: set(subtitle === null ? [] : [subtitle]),
  tags: set(tags),
  notes: map(Object.entries(notes)),
})

/** What ovsdb-server(7), 4.1.14, makes of a change; undefined: none. */
function update2(before: Book | undefined, after: Book | undefined): object | undefined {
  if (after === undefined) return before && { delete: null }
  if (before === undefined) return { insert: whole(after) }
  const tags = [...before.tags, ...after.tags].filter(
    (tag) => before.tags.includes(tag) !== after.tags.includes(tag),
  )
  const notes = [
    ...Object.entries(before.notes).filter(([key]) => !(key in after.notes)),
    ...Object.entries(after.notes).filter(([key, value]) => before.notes[key] !== value),
  ]
  const modify = {
    ...(before.title === after.title ? {} : { title: after.title }),
    ...(before.subtitle === after.subtitle
      ? {}
      : { subtitle: set(after.subtitle === null ? [] : [after.subtitle]) }),
    ...(tags.length === 0 ? {} : { tags: set(tags) }),
    ...(notes.length === 0 ? {} : { notes: map(notes) }),
  }
  return Object.keys(modify).length === 0 ? undefined : { modify }
}

function update(before: Book | undefined, after: Book | undefined): object | undefined {
  if (update2(before, after) === undefined) return undefined
  return { ...(before && { old: whole(before) }), ...(after && { new: whole(after) }) }
}

function message(
  before: Shelf,
  after: Shelf,
  of: (before?: Book, after?: Book) => object | undefined,
): object {
  const uuids = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const rows = uuids.map((uuid) => [uuid, of(before[uuid], after[uuid])]).filter(([, row]) => row)
  return rows.length === 0 ? {} : { Book: Object.fromEntries(rows) }
}

const held = (replica: Replica): unknown =>
  Object.fromEntries(
    [...replica.rows('Book')].map(([uuid, { uuid: own, ...row }]) => [uuid, { own, ...row }]),
  )
const meant = (shelf: Shelf): unknown =>
  Object.fromEntries(
    Object.entries(shelf).map(([uuid, book]) => [
      uuid,
      { own: uuid, ...book, notes: new Map(Object.entries(book.notes)) },
    ]),
  )
const changed = (changes: readonly ReplicaChange[]): string[] => changes.map(({ uuid }) => uuid).toSorted()
const differing = (before: Shelf, after: Shelf): string[] =>
  Object.keys((message(before, after, update2) as { Book?: object }).Book ?? {}).toSorted()

describe('the replica', () => {
  it('follows update2, update3 and update', () => {
    fc.assert(
      fc.property(
        fc.array(shelf, { minLength: 1 }),
        fc.constantFrom('update' as const, 'update2' as const),
        (shelves, form) => {
          const replica = library()
          const of = form === 'update' ? update : update2
          for (const [i, after] of shelves.entries()) {
            const before = shelves[i - 1] ?? {}
            const changes = replica.apply(message(before, after, of), form)
            expect(held(replica)).toEqual(meant(after))
            expect(changed(changes)).toEqual(differing(before, after))
          }
        },
      ),
    )
  })

  it('tells exactly what differs where everything comes anew', () => {
    fc.assert(
      fc.property(shelf, shelf, (before, after) => {
        const replica = library()
        replica.replace(message({}, before, update2), 'update2')
        const changes = replica.replace(message({}, after, update2), 'update2')
        expect(held(replica)).toEqual(meant(after))
        expect(changed(changes)).toEqual(differing(before, after))
        for (const { uuid, before: was, after: is } of changes) {
          expect(was === null).toBe(before[uuid] === undefined)
          expect(is).toBe(replica.rows('Book').get(uuid) ?? null)
        }
      }),
    )
  })

  it('gives columns that are left out their defaults', () => {
    const replica = library()
    replica.apply({ Book: { u1: { insert: { title: 'a' } }, u2: { initial: {} } } }, 'update2')
    expect(replica.rows('Book').get('u1')).toEqual({ uuid: 'u1', ...empty, title: 'a' })
    expect(replica.rows('Book').get('u2')).toEqual({ uuid: 'u2', ...empty })
  })

  it('makes a new row of a change, and says what was and what is', () => {
    const replica = library()
    replica.apply({ Book: { u1: { insert: { title: 'a' } } } }, 'update2')
    const before = replica.rows('Book').get('u1')
    const [change] = replica.apply({ Book: { u1: { modify: { title: 'b' } } } }, 'update2')
    expect(before).toMatchObject({ title: 'a' })
    expect(change).toEqual({ table: 'Book', uuid: 'u1', before, after: { ...before, title: 'b' } })
  })

  it.each<[string, { readonly Book?: object; readonly Shelf?: object }]>([
    ['a change of a row that is not there', { Book: { u9: { modify: { title: 'x' } } } }],
    ['another table', { Shelf: { u1: { insert: {} } } }],
    ['another column', { Book: { u2: { modify: { isbn: 'x' } } } }],
    ['another type', { Book: { u2: { modify: { title: 7 } } } }],
    ['neither of the three', { Book: { u2: { replaced: {} } } }],
    ['no object', { Book: { u2: [] } }],
  ])('refuses a message whole: %s', (_, { Book = {}, ...others }) => {
    const replica = library()
    replica.apply({ Book: { u1: { insert: { title: 'a' } }, u2: { insert: {} } } }, 'update2')
    const before = held(replica)
    const message = { Book: { u1: { modify: { title: 'z' } }, ...Book }, ...others }
    expect(() => replica.apply(message, 'update2')).toThrow(ProtocolError)
    expect(() => replica.replace(message, 'update2')).toThrow(ProtocolError)
    expect(held(replica)).toEqual(before)
  })

  it('keeps its position as long as the columns are the same', () => {
    const replica = library()
    replica.position = 'p'
    replica.columns = new Map(columns)
    expect(replica.position).toBe('p')
    replica.columns = new Map([['Book', new Map([...(columns.get('Book') ?? [])].slice(1))]])
    expect(replica.position).toBe(zeroUuid)
  })
})
