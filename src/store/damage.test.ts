import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempDisposableSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openDirectory } from './directory.ts'
import { openStore } from './sqlite.ts'
import { StoreRefused } from './store.ts'
import { damagedAt } from './wal.ts'

const scratch = () => mkdtempDisposableSync(join(tmpdir(), 'torb-damage-'))
const frameSize = 24 + 4096

/** All rows, or the refusal; the files that a refusal leaves must be those it found. */
function openAndLoad(dir: string): Map<string, string> | StoreRefused {
  const files = ['store.db', 'store.db-wal'].map((name) => join(dir, name)).filter((file) => existsSync(file))
  const before = files.map((file) => readFileSync(file))
  try {
    const { database, unlock } = openDirectory(dir)
    const rows = new Map(database.rows('x'))
    database.close()
    unlock()
    return rows
  } catch (error) {
    if (!(error instanceof StoreRefused)) throw error
    expect(files.map((file) => readFileSync(file))).toEqual(before)
    return error
  }
}

const row = (i: number) => ({ bucket: 'x', key: `key ${i}`, value: `value ${i} `.repeat(20) })

/** A directory as kill -9 leaves it after `commits` commits of one row: nothing moved out of the log yet. */
async function interrupted(dir: string, commits: number): Promise<void> {
  const store = await openStore(join(dir, 'live'))
  for (let i = 0; i < commits; i++) await store.commit([row(i)])
  cpSync(join(dir, 'live', 'store.db'), join(dir, 'store.db'))
  cpSync(join(dir, 'live', 'store.db-wal'), join(dir, 'store.db-wal'))
  await store.close()
}

describe('a log with a torn tail', () => {
  it('keeps every commit whose frames are whole, wherever it is cut', async () => {
    using place = scratch()
    await interrupted(place.path, 6)
    const log = readFileSync(join(place.path, 'store.db-wal'))
    const database = readFileSync(join(place.path, 'store.db'))
    const frames = (log.length - 32) / frameSize
    const commitEnds = Array.from({ length: frames }, (_, i) => 32 + i * frameSize)
      .filter((at) => log.readUInt32BE(at + 4) !== 0)
      .map((at) => at + frameSize)
    expect(commitEnds).toHaveLength(6)
    // Every offset of the last frame's header, and a stride through what is before it.
    const cuts = [...Array(24).keys()].map((i) => log.length - frameSize + i)
    for (let cut = 0; cut <= log.length; cut += 499) cuts.push(cut)
    for (const cut of cuts) {
      writeFileSync(join(place.path, 'store.db'), database)
      writeFileSync(join(place.path, 'store.db-wal'), log.subarray(0, cut))
      rmSync(join(place.path, 'store.db-shm'), { force: true })
      const rows = openAndLoad(place.path)
      const whole = commitEnds.filter((end) => end <= cut).length
      expect(rows, `cut at ${cut}`).toEqual(
        new Map(Array.from({ length: whole }, (_, i) => [row(i).key, row(i).value])),
      )
    }
  })

  it('is no damage to any prefix, even where the rest of the last transaction is garbage', async () => {
    using place = scratch()
    await interrupted(place.path, 5)
    const log = readFileSync(join(place.path, 'store.db-wal'))
    expect(damagedAt(log, 4096)).toBeNull()
    fc.assert(
      fc.property(fc.nat(log.length), fc.uint8Array({ maxLength: frameSize }), (cut, garbage) => {
        expect(damagedAt(Buffer.concat([log.subarray(0, cut), garbage]), 4096)).toBeNull()
      }),
    )
  })

  it('is damage where a byte is flipped before the last transactions', async () => {
    using place = scratch()
    await interrupted(place.path, 5)
    const log = readFileSync(join(place.path, 'store.db-wal'))
    const lastTwo = log.length - 2 * frameSize
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: lastTwo - frameSize - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const flipped = Buffer.from(log)
          flipped[at] = (flipped[at] ?? 0) ^ flip
          expect(damagedAt(flipped, 4096)).not.toBeNull()
        },
      ),
    )
  })
})

describe('a damaged store', () => {
  it('with any byte flipped is refused or whole, never other than it was written', async () => {
    using place = scratch()
    const dir = join(place.path, 'x')
    const store = await openStore(dir)
    await store.commit(Array.from({ length: 100 }, (_, i) => row(i)))
    await store.close()
    const file = join(dir, 'store.db')
    const whole = readFileSync(file)
    const expected = new Map(Array.from({ length: 100 }, (_, i) => [row(i).key, row(i).value]))
    const offset = fc.oneof(fc.nat(99), fc.nat(whole.length - 1))
    const refused = { count: 0 }
    fc.assert(
      fc.property(offset, fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(whole)
        bytes[at] = (bytes[at] ?? 0) ^ flip
        rmSync(dir, { recursive: true })
        mkdirSync(dir)
        writeFileSync(file, bytes)
        const found = openAndLoad(dir)
        if (found instanceof StoreRefused) refused.count++
        else expect(found).toEqual(expected)
      }),
      { numRuns: 300 },
    )
    expect(refused.count).toBeGreaterThan(0)
  })

  it('is named with its cure, at whatever length it was cut', async () => {
    using place = scratch()
    const dir = place.path
    const store = await openStore(dir)
    await store.commit(Array.from({ length: 200 }, (_, i) => row(i)))
    await store.close()
    const file = join(dir, 'store.db')
    copyFileSync(file, join(dir, 'whole'))
    const { length } = readFileSync(file)
    for (const cut of [0, 1, 15, 16, 99, 100, 4095, 4096, 8192, length - 4096, length - 1]) {
      copyFileSync(join(dir, 'whole'), file)
      truncateSync(file, cut)
      const refusal = openAndLoad(dir)
      expect(refusal, `cut to ${cut}`).toMatchObject({
        code: 'damaged',
        message: expect.stringContaining('torb restore'),
      })
      expect((refusal as StoreRefused).message).toContain(file)
    }
    writeFileSync(file, 'this is a text, and not a database, however long it may become; '.repeat(100))
    expect(openAndLoad(dir)).toMatchObject({ code: 'damaged' })
  })

  it('with a byte flipped in the middle of its log is refused and not cut back', async () => {
    using place = scratch()
    await interrupted(place.path, 5)
    const file = join(place.path, 'store.db-wal')
    const log = readFileSync(file)
    log[32 + 24 + 100] = (log[32 + 24 + 100] ?? 0) ^ 1
    writeFileSync(file, log)
    expect(openAndLoad(place.path)).toMatchObject({
      code: 'damaged',
      message: expect.stringMatching(/store\.db-wal does not verify at byte 32/),
    })
  })
})
