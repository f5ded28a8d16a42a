import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadToken } from './token.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'torb-token-'))
})
afterAll(() => rm(directory, { recursive: true }))

describe('loadToken', () => {
  it('makes one at the first start and keeps it', async () => {
    const file = join(directory, 'data', 'token')
    const first = await loadToken(file, undefined)
    expect(first.value).toMatch(/^[\w-]{43}$/)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(await readFile(file, 'utf8')).toBe(`${first.value}\n`)
    expect(await loadToken(file, undefined)).toEqual({ value: first.value, place: file, warning: '' })
    expect(await readdir(join(directory, 'data'))).toEqual(['token'])
  })

  it('agrees on one when several start at once', async () => {
    const file = join(directory, 'race')
    const tokens = await Promise.all(Array.from({ length: 8 }, () => loadToken(file, undefined)))
    expect(new Set(tokens.map(({ value }) => value)).size).toBe(1)
  })

  it('takes the environment first and touches no file', async () => {
    const file = join(directory, 'untouched')
    expect((await loadToken(file, 'secret')).value).toBe('secret')
    await expect(stat(file)).rejects.toThrow('ENOENT')
    await expect(loadToken(file, '')).rejects.toThrow('TORB_TOKEN holds no usable token')
  })

  it('warns of a file that others can read, refuses one without a token', async () => {
    const file = join(directory, 'given')
    await writeFile(file, 'mine\n')
    await chmod(file, 0o644)
    expect(await loadToken(file, undefined)).toMatchObject({
      value: 'mine',
      warning: expect.stringContaining('chmod 600'),
    })
    await writeFile(file, '\n')
    await expect(loadToken(file, undefined)).rejects.toThrow(`${file} holds no usable token`)
    await expect(loadToken(join(file, 'below'), undefined)).rejects.toThrow('see --token-file')
  })
})
