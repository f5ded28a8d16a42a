import { mkdtempDisposableSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { daemonOptions } from '../../model/daemon.ts'
import { parseConfig, type Format } from './config.ts'
import { readConfigFile } from './file.ts'

const scratch = () => mkdtempDisposableSync(join(tmpdir(), 'torb-config-'))

describe('readConfigFile', () => {
  it('knows where its objects stand, for what control refuses', async () => {
    using place = scratch()
    const file = join(place.path, 'torb.yaml')
    writeFileSync(
      file,
      'plane: userspace\nservices:\n  web:\n    host: 127.0.0.1\n    port: 80\n    backends:\n      "10": { host: 127.0.0.2, port: 80 }\n      "2": { host: 127.0.0.3, port: 80 }\n',
    )
    const config = await readConfigFile(file)
    if (!config.ok) throw new Error(config.errors.join('\n'))
    expect(config.options).toEqual({ plane: 'userspace' })
    expect(config.services.map(({ id, backends }) => [id, backends.map(({ id }) => id)])).toEqual([
      ['web', ['10', '2']],
    ])
    expect(config.place('web', null)).toBe(`${file}:3:3`)
    expect(config.place('web', '2')).toBe(`${file}:8:7`)
    expect(config.report('web', '10', 'its address is taken')).toBe(
      `${file}:7:7: its address is taken\n  7 |       "10": { host: 127.0.0.2, port: 80 }\n    |       ^`,
    )
  })

  it.each([
    ['torb.conf', 'listen: x', 'ends in .yaml, .yml, .json or .toml'],
    ['torb.json', Buffer.from([0x7b, 0xff, 0x7d]), 'is not UTF-8 text'],
    ['torb.yaml', 'listen: 1', ':1:9: listen must be a string'],
  ])('refuses %s', async (name, content, expected) => {
    using place = scratch()
    const file = join(place.path, name)
    writeFileSync(file, content)
    const result = await readConfigFile(file)
    expect(result.ok ? [] : result.errors).toEqual([expect.stringContaining(expected)])
  })

  it('refuses what is missing, a directory, and 10 MB', async () => {
    using place = scratch()
    const file = join(place.path, 'torb.json')
    expect(await readConfigFile(file)).toMatchObject({
      ok: false,
      errors: [expect.stringContaining('cannot be read')],
    })
    writeFileSync(file, '')
    truncateSync(file, 10_000_000)
    expect(await readConfigFile(file)).toMatchObject({
      ok: false,
      errors: [expect.stringContaining('10000000 bytes are more')],
    })
    using directory = mkdtempDisposableSync(join(place.path, 'x'))
    expect(await readConfigFile(directory.path)).toMatchObject({ ok: false })
  })

  it('takes a text as large as is allowed', async () => {
    using place = scratch()
    for (const [name, text] of [
      ['torb.json', JSON.stringify({ listen: 'x'.repeat(4_000_000) })],
      ['torb.toml', `listen = """${'x'.repeat(4_000_000)}"""\n`],
      ['torb.yaml', `listen: "${'x'.repeat(4_000_000)}"\n`],
    ] as const) {
      const file = join(place.path, name)
      writeFileSync(file, text)
      const result = await readConfigFile(file)
      expect(result.ok && result.options.listen?.length).toBe(4_000_000)
    }
  })
})

describe('docs/configuration.md', () => {
  const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/```(yaml|json|toml)\n([\s\S]*?)```/g)]

  it('has examples that are valid', () => {
    expect(blocks.map(([, format]) => format)).toEqual(expect.arrayContaining(['yaml', 'json', 'toml']))
    for (const [, format = '', text = ''] of blocks) {
      expect(parseConfig(text, format as Format, `example.${format}`)).toMatchObject({ ok: true })
    }
  })

  it('tells of every option, by key and by flag', () => {
    for (const key of Object.keys(daemonOptions.shape)) expect(page).toContain(`| \`${key}\` |`)
  })

  it('shows every option in its example', () => {
    const example = blocks.find(([, format]) => format === 'yaml')?.[2] ?? ''
    const result = parseConfig(example, 'yaml', 'example.yaml')
    expect(result.ok && Object.keys(result.options).sort()).toEqual(Object.keys(daemonOptions.shape).sort())
  })
})
