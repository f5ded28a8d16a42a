import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempDisposableSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openStore } from './sqlite.ts'
import type { Row } from './store.ts'

const scratch = () => mkdtempDisposableSync(join(tmpdir(), 'torb-store-'))
const mode = (file: string): number => statSync(file).mode & 0o777

describe('openStore', () => {
  it('makes a private directory and files, and keeps rows over a restart', async () => {
    using place = scratch()
    const dir = join(place.path, 'a', 'b')
    const store = await openStore(dir)
    await store.commit([
      { bucket: 'service', key: 'web', value: '{"port":80}' },
      { bucket: 'backend', key: '["web","1"]', value: '1' },
    ])
    expect([dir, join(dir, 'store.db'), join(dir, 'store.db-wal'), join(dir, 'lock')].map(mode)).toEqual([
      0o700, 0o600, 0o600, 0o600,
    ])
    await store.close()

    const again = await openStore(dir)
    expect(await again.load('service')).toEqual([['web', '{"port":80}']])
    expect(await again.load('backend')).toEqual([['["web","1"]', '1']])
    expect(await again.load('nothing')).toEqual([])
    await again.close()
  })

  it('says where it cannot make a directory, also where the kernel answers that there is none above', async () => {
    await expect(openStore('/proc/torb/data')).rejects.toThrow(
      /the store in \/proc\/torb\/data cannot be opened \(ENOENT.*choose a directory.*with --data$/,
    )
  })

  it('gives rows in key order, replaces and deletes them', async () => {
    using place = scratch()
    const store = await openStore(place.path)
    await store.commit(['b', 'a', 'c', '', 'ä'].map((key) => ({ bucket: 'x', key, value: key })))
    await store.commit([
      { bucket: 'x', key: 'a', value: 'new' },
      { bucket: 'x', key: 'b', value: null },
      { bucket: 'x', key: 'unknown', value: null },
    ])
    expect(await store.load('x')).toEqual([
      ['', ''],
      ['a', 'new'],
      ['c', 'c'],
      ['ä', 'ä'],
    ])
    await store.close()
  })

  it('keeps any text exactly, as a map would', async () => {
    using place = scratch()
    const store = await openStore(place.path)
    const text = fc.string({
      unit: fc.oneof(fc.constantFrom('\0', '\n', 'é', '€', '😀', '"'), fc.string({ maxLength: 1 })),
      maxLength: 12,
    })
    const row = fc.record({ bucket: fc.constantFrom('p', 'q'), key: text, value: fc.option(text) })
    const expected = new Map<string, Map<string, string>>([
      ['p', new Map()],
      ['q', new Map()],
    ])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(row, { maxLength: 6 }), { maxLength: 6 }), async (commits) => {
        await Promise.all(commits.map(async (rows) => await store.commit(rows)))
        for (const { bucket, key, value } of commits.flat()) {
          if (value === null) expected.get(bucket)?.delete(key)
          else expected.get(bucket)?.set(key, value)
        }
        for (const [bucket, rows] of expected) {
          expect(new Map(await store.load(bucket))).toEqual(rows)
        }
      }),
      { numRuns: 60 },
    )
    await store.close()
  })

  it('refuses half a surrogate pair, which would come back as another character', async () => {
    using place = scratch()
    const store = await openStore(place.path)
    await expect(store.commit([{ bucket: 'x', key: 'a', value: '\ud83d' }])).rejects.toThrow(
      'half a surrogate pair',
    )
    expect(await store.load('x')).toEqual([])
    await store.close()
  })

  it('does what was asked before close, and nothing after', async () => {
    using place = scratch()
    const store = await openStore(place.path)
    const commits = Array.from(
      { length: 50 },
      async (_, i) => await store.commit([{ bucket: 'x', key: `${i}`, value: '' }]),
    )
    await Promise.all([...commits, store.close(), store.close()])
    await expect(store.commit([])).rejects.toThrow('is closed')
    await expect(store.load('x')).rejects.toThrow('is closed')
    await expect(store.backup(join(place.path, 'copy'))).rejects.toThrow('is closed')
    const again = await openStore(place.path)
    expect(await again.load('x')).toHaveLength(50)
    await again.close()
  })

  it('loads 100,000 rows whole', async () => {
    using place = scratch()
    const store = await openStore(place.path)
    const rows: Row[] = Array.from({ length: 100_000 }, (_, i) => ({
      bucket: 'x',
      key: `key ${i}`,
      value: `${i} `.repeat(40),
    }))
    await store.commit(rows)
    const loaded = new Map(await store.load('x'))
    expect(loaded.size).toBe(100_000)
    expect(rows.every(({ key, value }) => loaded.get(key) === value)).toBe(true)
    await store.close()
  })

  it('bounds the log, also after one large transaction', async () => {
    using place = scratch()
    const store = await openStore(place.path)
    const rows = Array.from({ length: 20_000 }, (_, i) => ({
      bucket: 'x',
      key: `${i}`,
      value: 'v'.repeat(1000),
    }))
    await store.commit(rows)
    for (let i = 0; i < 20; i++) await store.commit(rows.slice(0, 100))
    expect(statSync(join(place.path, 'store.db-wal')).size).toBeLessThanOrEqual(9_000_000)
    await store.close()
    expect(existsSync(join(place.path, 'store.db-wal'))).toBe(false)
  })
})

describe('a second user of the directory', () => {
  it('is refused with the pid of the holder, and is let in when that one has been killed', async () => {
    using place = scratch()
    const program = `
      import { openStore } from ${JSON.stringify(new URL('sqlite.ts', import.meta.url).href)}
      await openStore(${JSON.stringify(place.path)})
      process.stdout.write('open')
      setInterval(() => {}, 1000)`
    const holder = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    await expect(openStore(place.path)).rejects.toMatchObject({
      code: 'in-use',
      message: `${place.path} is in use by process ${holder.pid}: stop that one, or choose another directory with --data`,
    })
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const store = await openStore(place.path)
    await store.close()
  })

  it('is refused in the same process too, and leaves the first one unharmed', async () => {
    using place = scratch()
    const first = await openStore(place.path)
    for (let i = 0; i < 2; i++) {
      await expect(openStore(place.path)).rejects.toMatchObject({ code: 'in-use' })
    }
    await first.commit([{ bucket: 'x', key: 'a', value: '1' }])
    await first.close()
    const second = await openStore(place.path)
    expect(await second.load('x')).toEqual([['a', '1']])
    await second.close()
  })
})

describe('a directory that is no store of this version', () => {
  it('written by a newer Torb: named, with the version that wrote it, and left as it is', async () => {
    using place = scratch()
    await (await openStore(place.path)).close()
    const file = join(place.path, 'store.db')
    const database = new DatabaseSync(file)
    database.exec(
      "UPDATE meta SET value = '2' WHERE name = 'format'; UPDATE meta SET value = '9.1.0' WHERE name = 'written_by'",
    )
    database.exec('DROP TABLE entry')
    database.close()
    const before = readFileSync(file)
    await expect(openStore(place.path)).rejects.toMatchObject({
      code: 'newer',
      message: expect.stringMatching(
        /store\.db was written by Torb 9\.1\.0 in format 2.*upgrade Torb to 9\.1\.0 or later/,
      ),
    })
    expect(readFileSync(file)).toEqual(before)
  })

  it('a database of something else', async () => {
    using place = scratch()
    const database = new DatabaseSync(join(place.path, 'store.db'))
    database.exec('CREATE TABLE other(x)')
    database.close()
    await expect(openStore(place.path)).rejects.toMatchObject({
      code: 'damaged',
      message: expect.stringContaining('not a store of Torb'),
    })
  })

  it('a log without its database', async () => {
    using place = scratch()
    writeFileSync(join(place.path, 'store.db-wal'), 'log')
    await expect(openStore(place.path)).rejects.toMatchObject({
      code: 'damaged',
      message: expect.stringContaining('its log'),
    })
  })

  it('a file in the place of the directory', async () => {
    using place = scratch()
    const file = join(place.path, 'file')
    writeFileSync(file, '')
    await expect(openStore(file)).rejects.toMatchObject({
      code: 'unusable',
      message: expect.stringContaining('--data'),
    })
  })
})
