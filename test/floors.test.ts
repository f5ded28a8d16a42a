import { globSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string): string => readFileSync(join(root, file), 'utf8')

/** The rooms of docs/architecture.md: imports go to a room of a higher number, or stay in their own. */
const floorOf = floorsInDocs(read('docs/architecture.md'))

/** Rows such as "| 3 | `src/sources/<name>/` | file (YAML, JSON, TOML) | `Control` |": room `src/sources/`, floor 3. */
function floorsInDocs(page: string): Map<string, number> {
  const rows = page.matchAll(/^\| (\d) \| `(src\/[^`]+?)(?:<name>\/)?` \|/gm)
  return new Map([...rows].map(([, floor, room]) => [room ?? '', Number(floor)]))
}

function roomOf(file: string): string {
  const room = [...floorOf.keys()].find((room) =>
    room.endsWith('/') ? file.startsWith(room) : file === room,
  )
  return room ?? ''
}

/** `src/planes/userspace` of a file in there; null elsewhere. */
const memberOf = (file: string): string | null =>
  /^src\/(?:planes|sources|announce)\/[^/]+(?=\/)/.exec(file)?.[0] ?? null

interface Import {
  readonly file: string
  /** As written. */
  readonly specifier: string
  /** From the root; null for packages. */
  readonly target: string | null
}

// Static, re-exported, side-effect and dynamic imports with a literal.
const importPattern =
  /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm

function importsOf(file: string): Import[] {
  return [...read(file).matchAll(importPattern)].map(([, from, bare, dynamic]) => {
    const specifier = from ?? bare ?? dynamic ?? ''
    const target = specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : null
    return { file, specifier, target }
  })
}

const files = (pattern: string): string[] =>
  globSync(pattern, { cwd: root }).map((file) => relative('.', file).replaceAll('\\', '/'))
// Unit tests stand beside the code but are not part of it: they may use fixtures and the lab.
const sources = files('src/**/*.ts').filter((file) => !file.endsWith('.test.ts'))
const imports = sources.flatMap(importsOf)
const all = files('{src,lab,test,bench}/**/*.ts').flatMap(importsOf)

describe('the rooms', () => {
  it('are read from docs/architecture.md', () => {
    expect(Object.fromEntries(floorOf)).toMatchObject({ 'src/cli/': 1, 'src/daemon/': 2, 'src/model/': 7 })
    expect(imports.length).toBeGreaterThan(50)
  })

  it('are all in the table', () => {
    const rooms = readdirSync(join(root, 'src'), { withFileTypes: true }).map((entry) =>
      entry.isDirectory() ? `src/${entry.name}/` : `src/${entry.name}`,
    )
    // An empty directory is no room: git does not keep it.
    const inhabited = rooms.filter((room) => sources.some((file) => file.startsWith(room)))
    expect(inhabited.filter((room) => !floorOf.has(room))).toEqual([])
  })

  it('import only downwards; those of one floor do not know each other', () => {
    const upwards = imports.filter(({ file, target }) => {
      if (target === null || !target.startsWith('src/')) return false
      const [from, to] = [roomOf(file), roomOf(target)]
      return from !== to && (floorOf.get(from) ?? NaN) >= (floorOf.get(to) ?? NaN)
    })
    expect(upwards.map(shown)).toEqual([])
  })

  it('have members that do not know each other, where each has a folder of its own', () => {
    const across = imports.filter(({ file, target }) => {
      const [from, to] = [memberOf(file), memberOf(target ?? '')]
      return from !== null && to !== null && from !== to
    })
    expect(across.map(shown)).toEqual([])
  })

  it('import nothing of lab, test and bench', () => {
    const outside = imports.filter(
      ({ target }) => target !== null && !target.startsWith('src/') && target !== 'package.json',
    )
    expect(outside.map(shown)).toEqual([])
  })
})

describe('imports', () => {
  it('name their file with its ending', () => {
    const vague = all.filter(({ target }) => target !== null && !/\.(ts|json)$/.test(target))
    expect(vague.map(shown)).toEqual([])
  })
})

function shown({ file, specifier }: Import): string {
  return `${file} imports ${specifier}`
}
