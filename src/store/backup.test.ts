import { mkdtempDisposableSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { backupStore } from './backup.ts'
import { openDirectory } from './directory.ts'
import { restoreStore } from './restore.ts'
import { openStore } from './sqlite.ts'

const scratch = () => mkdtempDisposableSync(join(tmpdir(), 'torb-backup-'))

async function storeWith(dir: string, value: string): Promise<void> {
  const store = await openStore(dir)
  await store.commit([{ bucket: 'x', key: 'a', value }])
  await store.close()
}

async function rowsOf(dir: string): Promise<unknown> {
  const store = await openStore(dir)
  const rows = await store.load('x')
  await store.close()
  return rows
}

describe('backup', () => {
  it('is one moment of a store that is being written, from within and from another connection', async () => {
    using place = scratch()
    const store = await openStore(join(place.path, 'data'))
    await store.commit(
      Array.from({ length: 5000 }, (_, i) => ({ bucket: 'filler', key: `${i}`, value: 'v'.repeat(200) })),
    )
    const writing = new AbortController()
    const writer = (async () => {
      let n = 0
      for (; !writing.signal.aborted; n++) {
        // Each commit keeps a and b equal.
        await store.commit(['a', 'b'].map((key) => ({ bucket: 'x', key, value: `${n}` })))
      }
      return n
    })()
    await store.backup(join(place.path, 'one'))
    backupStore(join(place.path, 'data'), join(place.path, 'two'))
    writing.abort()
    expect(await writer).toBeGreaterThan(1)
    await store.close()

    for (const name of ['one', 'two']) {
      expect(statSync(join(place.path, name)).mode & 0o777).toBe(0o600)
      const dir = join(place.path, `from-${name}`)
      expect(restoreStore(dir, join(place.path, name))).toEqual({ kept: null })
      const { database, unlock } = openDirectory(dir)
      const [a, b] = [...database.rows('x')]
      expect(a?.[1]).toBe(b?.[1])
      expect([...database.rows('filler')]).toHaveLength(5000)
      database.close()
      unlock()
    }
  })

  it('overwrites nothing and leaves nothing half-written', async () => {
    using place = scratch()
    const target = join(place.path, 'taken')
    writeFileSync(target, 'mine')
    const store = await openStore(join(place.path, 'data'))
    await expect(store.backup(target)).rejects.toThrow(
      `${target} exists and is not overwritten: choose another name`,
    )
    await expect(store.backup(join(place.path, 'no', 'such'))).rejects.toThrow('no backup of')
    await store.close()
    expect(readFileSync(target, 'utf8')).toBe('mine')
    expect(readdirSync(place.path).sort()).toEqual(['data', 'taken'])
    expect(() => backupStore(join(place.path, 'nowhere'), join(place.path, 'copy'))).toThrow('no backup of')
    expect(readdirSync(place.path).sort()).toEqual(['data', 'taken'])
  })
})

describe('restore', () => {
  it('puts the backup in place and keeps the old store beside it, which opens as well', async () => {
    using place = scratch()
    const [data, copy] = [join(place.path, 'data'), join(place.path, 'copy')]
    await storeWith(data, 'old')
    backupStore(data, copy)
    await storeWith(data, 'new')
    const { kept } = restoreStore(data, copy, new Date(Date.UTC(2026, 10, 21, 10, 48, 6)))
    expect(kept).toBe(join(data, 'store.db.before-restore-2026-11-21T104806.000Z'))
    expect(await rowsOf(data)).toEqual([['a', 'old']])
    restoreStore(data, kept ?? '')
    expect(await rowsOf(data)).toEqual([['a', 'new']])
  })

  it('mends a damaged store', async () => {
    using place = scratch()
    const [data, copy] = [join(place.path, 'data'), join(place.path, 'copy')]
    await storeWith(data, 'old')
    backupStore(data, copy)
    writeFileSync(join(data, 'store.db'), 'garbage')
    restoreStore(data, copy)
    expect(await rowsOf(data)).toEqual([['a', 'old']])
  })

  it('refuses a damaged backup, and a directory in use, and changes nothing', async () => {
    using place = scratch()
    const [data, copy, bad] = ['data', 'copy', 'bad'].map((name) => join(place.path, name)) as [
      string,
      string,
      string,
    ]
    await storeWith(data, 'old')
    backupStore(data, copy)
    const bytes = readFileSync(copy)
    const at = bytes.indexOf('old')
    bytes[at] = (bytes[at] ?? 0) ^ 1
    writeFileSync(bad, bytes)
    const names = readdirSync(data)
    expect(() => restoreStore(data, bad)).toThrow(/bad is damaged .*choose another backup/)
    expect(() => restoreStore(data, join(place.path, 'missing'))).toThrow(/missing/)
    expect(readdirSync(data)).toEqual(names)
    const store = await openStore(data)
    expect(() => restoreStore(data, copy)).toThrow(`in use by process ${process.pid}`)
    await store.commit([{ bucket: 'x', key: 'b', value: '2' }])
    expect(await store.load('x')).toHaveLength(2)
    await store.close()
  })

  it('cut off before its last step leaves a directory that does not open as an empty one', async () => {
    using place = scratch()
    const data = join(place.path, 'data')
    await storeWith(data, 'old')
    backupStore(data, join(data, 'store.db.restored'))
    restoreStore(join(place.path, 'other'), join(data, 'store.db.restored'))
    using moved = scratch()
    backupStore(data, join(moved.path, 'store.db.restored'))
    await expect(openStore(moved.path)).rejects.toMatchObject({
      code: 'damaged',
      message: expect.stringContaining('restore was interrupted'),
    })
    restoreStore(moved.path, join(data, 'store.db.restored'))
    expect(await rowsOf(moved.path)).toEqual([['a', 'old']])
  })
})
