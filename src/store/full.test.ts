import { execFileSync } from 'node:child_process'
import { mkdtempDisposableSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from './sqlite.ts'
import { StoreFull, type Store } from './store.ts'

const place = mkdtempDisposableSync(join(tmpdir(), 'torb-full-'))
const skipReason = mountSmall(place.path, '24m')
if (skipReason !== null) console.log(`skipped: a full disk needs a small tmpfs (${skipReason})`)

/** Mounts a tmpfs of so many bytes, or says why that is not possible here. */
function mountSmall(dir: string, size: string): string | null {
  if (process.getuid?.() !== 0) return 'mount(8) needs root'
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'torb-test', dir], { stdio: 'pipe' })
    return null
  } catch (error) {
    return String(error)
  }
}

afterAll(() => {
  if (skipReason === null) execFileSync('umount', ['--lazy', place.path])
  place.remove()
})

const big = (i: number, bytes: number) => ({
  bucket: 'x',
  key: `${i}`.padStart(6, '0'),
  value: `${i % 10}`.repeat(bytes),
})

/** Commits until one is refused for lack of room; the number that were accepted. */
async function fill(store: Store): Promise<number> {
  for (let i = 0; ; i++) {
    try {
      await store.commit([big(i, 50_000)])
    } catch (error) {
      expect(error).toBeInstanceOf(StoreFull)
      expect((error as Error).message).toContain('is full, so nothing was changed: make room')
      return i
    }
  }
}

describe.skipIf(skipReason !== null)('a full disk', () => {
  const dir = join(place.path, 'data')
  const ballast = join(place.path, 'ballast')

  beforeAll(() => {
    writeFileSync(ballast, Buffer.alloc(9_000_000))
  })

  it('refuses what does not fit, keeps what did, and goes on when there is room', async () => {
    const store = await openStore(dir)
    const kept = await fill(store)
    expect(kept).toBeGreaterThan(0)
    const whole = Array.from({ length: kept }, (_, i) => big(i, 50_000))
    const pairs = whole.map(({ key, value }) => [key, value])
    expect(await store.load('x')).toEqual(pairs)

    // All or none: a small row beside one that does not fit is not kept either.
    await expect(
      store.commit([{ bucket: 'x', key: 'small', value: '' }, big(999, 30_000_000)]),
    ).rejects.toBeInstanceOf(StoreFull)
    expect(await store.load('x')).toEqual(pairs)
    await expect(store.backup(join(place.path, 'copy'))).rejects.toBeInstanceOf(StoreFull)

    rmSync(ballast)
    await store.commit([{ bucket: 'x', key: 'zz', value: 'room again' }])
    await store.close()
    const again = await openStore(dir)
    expect(await again.load('x')).toEqual([...pairs, ['zz', 'room again']])
    await again.commit(whole.map(({ bucket, key }) => ({ bucket, key, value: null })))
    expect(await again.load('x')).toEqual([['zz', 'room again']])
    await again.close()
  })

  it('refuses a new store in words that name the disk', async () => {
    writeFileSync(ballast, '')
    const left = Buffer.alloc(65_536)
    try {
      for (;;) writeFileSync(ballast, left, { flag: 'a' })
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' })
    }
    await expect(openStore(join(place.path, 'other'))).rejects.toMatchObject({
      code: 'unusable',
      message: expect.stringContaining('the disk is full, make room'),
    })
    rmSync(ballast)
    const store = await openStore(join(place.path, 'other'))
    await store.close()
  })

  it('fails a commit for its own size only, not for that of one that waits beside it', async () => {
    const store = await openStore(join(place.path, 'third'))
    const outcomes = await Promise.allSettled([
      store.commit([{ bucket: 'x', key: 'small', value: '1' }]),
      store.commit([big(1, 30_000_000)]),
      store.commit([{ bucket: 'x', key: 'tiny', value: '2' }]),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await store.load('x')).toEqual([
      ['small', '1'],
      ['tiny', '2'],
    ])
    await store.close()
  })
})
