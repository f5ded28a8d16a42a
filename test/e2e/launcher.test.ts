import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const torb = fileURLToPath(new URL('../../bin/torb', import.meta.url))

it('says in one sentence that its output cannot be written', () => {
  const full = openSync('/dev/full', 'w')
  const { status, stderr } = spawnSync(torb, ['--version'], {
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  })
  closeSync(full)
  expect({ status, stderr }).toEqual({
    status: 73,
    stderr:
      'torb: cannot write its output (ENOSPC: no space left on device, write): make room, or write elsewhere\n',
  })
})

describe('bin/torb keeps what Node compiled', () => {
  let directory = ''
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'torb-launcher-'))
  })
  afterEach(() => rmSync(directory, { recursive: true, force: true }))

  /** @returns the version, in whatever environment */
  function version(env: Record<string, string>): string {
    return execFileSync(torb, ['--version'], { env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' })
  }

  it.each([
    ['in the cache of the home directory', (at: string) => ({ HOME: at }), '.cache/torb'],
    ['where XDG_CACHE_HOME says', (at: string) => ({ HOME: at, XDG_CACHE_HOME: join(at, 'x') }), 'x/torb'],
    ['in the directory of systemd', (at: string) => ({ CACHE_DIRECTORY: join(at, 'unit') }), 'unit'],
    ['where the user of Node says', (at: string) => ({ NODE_COMPILE_CACHE: join(at, 'own') }), 'own'],
  ])('%s', (_, env, kept) => {
    expect(version(env(directory))).toMatch(/^torb \d/)
    expect(readdirSync(join(directory, kept))).not.toEqual([])
  })

  it.each([
    ['without a home directory', () => ({})],
    ['where nothing can be made', () => ({ HOME: '/proc' })],
    ['with NODE_COMPILE_CACHE empty', (at: string) => ({ HOME: at, NODE_COMPILE_CACHE: '' })],
  ])('nowhere %s', (_, env) => {
    expect(version(env(directory))).toMatch(/^torb \d/)
    expect(readdirSync(directory)).toEqual([])
  })

  it.skipIf(process.getuid?.() !== 0)(
    'nowhere in the home directory of another user (skipped: not root)',
    () => {
      mkdirSync(join(directory, 'home'))
      execFileSync('chown', ['nobody', join(directory, 'home')])
      expect(version({ HOME: join(directory, 'home') })).toMatch(/^torb \d/)
      expect(existsSync(join(directory, 'home/.cache'))).toBe(false)
    },
  )
})
