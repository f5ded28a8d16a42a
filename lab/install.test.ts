import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { installPackages, labPackages, missingPackages } from './install.ts'

const invented = { name: 'torb-lab-invented', reason: 'no such package' }
const debian = existsSync('/usr/bin/dpkg-query')

describe('the lab', () => {
  it('lists its packages with the reasons', () => {
    const { stdout } = spawnSync(process.execPath, [
      fileURLToPath(new URL('install.ts', import.meta.url)),
      '--list',
    ])
    expect(stdout.toString()).toMatch(/^haproxy +peer of the TCP and HTTP benches$/m)
  })

  it.skipIf(!debian)('tells what is missing (on Debian)', () => {
    expect(missingPackages([invented, { name: 'dpkg', reason: 'always there' }])).toEqual([invented])
  })

  it.skipIf(!debian)('does nothing where all is there (on Debian)', () => {
    expect(installPackages([{ name: 'dpkg', reason: 'always there' }])).toEqual([])
  })

  it('names the packages and the cure where it cannot install', () => {
    expect(() => installPackages([invented], false)).toThrow(
      /torb-lab-invented.*(sudo npm run lab|own means)|own means.*torb-lab-invented/,
    )
  })

  it('names each package once', () => {
    expect(new Set(labPackages.map(({ name }) => name)).size).toBe(labPackages.length)
  })
})
