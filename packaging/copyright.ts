import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Dependency } from './application.ts'

/** debian/copyright (DEP-5): Torb's own terms, and for each package that comes along its terms and where their text is. */
export function copyright(root: string, place: string, dependencies: readonly Dependency[]): string {
  const own =
    'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: torb\n'
  const torb = stanza('*', 'the authors of Torb', 'Apache-2.0', [
    'On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.',
  ])
  const others = dependencies.map(({ path }) => {
    const { license = 'UNKNOWN', author } = JSON.parse(
      readFileSync(join(root, path, 'package.json'), 'utf8'),
    ) as { license?: string; author?: string | { name: string } }
    const file = readdirSync(join(root, path)).find((name) => /^(licen[cs]e|copying)/i.test(name))
    const holder = typeof author === 'object' ? author.name : author
    const stated = file === undefined ? undefined : holderIn(readFileSync(join(root, path, file), 'utf8'))
    return stanza(`${place.slice(1)}/${path}/*`, stated ?? holder ?? 'its authors', license, [
      file === undefined ? 'As its package.json says.' : `The text is in ${place}/${path}/${file}.`,
    ])
  })
  return [own, torb, ...others].join('\n')
}

const holderIn = (text: string): string | undefined =>
  /^\s*Copyright (?:\(c\)|©)?\s*(\S.*?)\s*$/im.exec(text)?.[1]

function stanza(files: string, holder: string, license: string, text: readonly string[]): string {
  // A short name has no blanks; npm's expressions such as (MIT OR X) do.
  const name = license.replaceAll(/[()]/g, '').replaceAll(' OR ', ' or ').replaceAll(' AND ', ' and ')
  return `Files: ${files}\nCopyright: ${holder}\nLicense: ${name}\n${text.map((line) => ` ${line}\n`).join('')}`
}
