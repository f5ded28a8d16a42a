import type { Command } from './command.ts'
import { dashed, valueName, type Flag } from './goFlags.ts'
import type { Entry } from './index.ts'

export interface Section {
  readonly title: string
  /** Paragraphs, or pairs of a term and what it means. */
  readonly text: readonly (string | readonly [term: string, meaning: string])[]
}

const commonFlags: readonly (readonly [string, string])[] = [['-h, --help', 'shows this page']]

/** A command's manual page for the terminal. */
export function manualPage(name: string, summary: string, command: Command, width = 80): string {
  const limit = Math.min(Math.max(width, 40), 100)
  const parts = sections(name, summary, command).map(({ title, text }) => {
    const body = text.map((item) => {
      if (typeof item === 'string') return wrap(item, limit, 4)
      const [term, meaning] = item
      return `    ${term}\n${wrap(meaning, limit, 8)}`
    })
    const gap = title === 'SYNOPSIS' ? '\n' : '\n\n'
    return `${title}\n${body.join(text.some((item) => typeof item !== 'string') ? '\n' : gap)}`
  })
  return `${parts.join('\n\n')}\n`
}

/** The same page in Markdown, for docs/cli.md. */
function manualMarkdown(name: string, summary: string, command: Command): string {
  const lines = [`## torb ${name}`, '', sentence(summary), '']
  for (const { title, text } of sections(name, summary, command)) {
    if (title === 'NAME') continue
    if (title === 'SYNOPSIS' || title === 'EXAMPLES') {
      lines.push(...(title === 'EXAMPLES' ? ['**Examples**', ''] : []), '```')
      for (const item of text) lines.push(...(typeof item === 'string' ? [item] : [`# ${item[1]}`, item[0]]))
      lines.push('```', '')
      continue
    }
    if (title !== 'DESCRIPTION') lines.push(`**${title.charAt(0)}${title.slice(1).toLowerCase()}**`, '')
    const pairs = text.filter((item) => typeof item !== 'string')
    for (const item of text) if (typeof item === 'string') lines.push(item, '')
    if (pairs.length > 0) lines.push(...pairs.map(([term, meaning]) => `- \`${term}\`: ${meaning}`), '')
  }
  return lines.join('\n')
}

/** All pages, for docs/cli.md. */
export async function reference(commands: Readonly<Record<string, Entry>>): Promise<string> {
  const pages = Object.entries(commands).map(async ([name, { summary, load }]) =>
    manualMarkdown(name, summary, await load()),
  )
  return `${[referenceHead, ...(await Promise.all(pages))].join('\n').trimEnd()}\n`
}

const referenceHead = `# The command line

The pages that \`torb COMMAND --help\` shows, made from the same source (\`vitest -u\` writes this file anew).

Flags follow the syntax of Go's package flag, as GORB's do: one or two dashes, the value behind a blank or an equals sign
(\`-l :4672\`, \`--listen=:4672\`), booleans alone or as \`-f=true\`, \`--\` ends them. Flags may stand behind operands. An unknown
flag or command is refused in one sentence with the nearest known one.

Exit codes are the same everywhere, above 2 as in sysexits.h: 0 done; 1 what was asked for is not so, or the API refused; 64 a
flag, an operand or a command is wrong; 65 a file has a mistake; 66 a file is not there; 69 no Torb answers, or an address
cannot be had; 73 a file could not be written. What went wrong is one sentence on standard error. A command ended by a second
Ctrl-C exits with 130.
`

/** What `torb` and `torb --help` show. */
export function overview(commands: Readonly<Record<string, Entry>>, version: string): string {
  const longest = Math.max(...Object.keys(commands).map((name) => name.length))
  const list = Object.entries(commands).map(
    ([name, { summary }]) => `    ${name.padEnd(longest)}  ${summary}`,
  )
  return [
    `torb ${version}: a load balancer with one REST API and exchangeable data planes`,
    '',
    'SYNOPSIS',
    '    torb COMMAND [FLAGS] [OPERANDS]',
    '    torb COMMAND --help',
    '    torb --version',
    '',
    'COMMANDS',
    ...list,
    '',
    'Begin with "torb demo", or with "torb serve" and the tutorial in docs/hands-on.md.',
    '',
  ].join('\n')
}

/** The parts of a command's manual page, for whatever shows it. */
export function sections(name: string, summary: string, { page, flags }: Command): Section[] {
  const flagList = Object.entries(flags).map(
    ([long, flag]) => [flagTerm(long, flag), flagMeaning(flag)] as const,
  )
  const all: (Section | null)[] = [
    { title: 'NAME', text: [`torb ${name} - ${summary}`] },
    { title: 'SYNOPSIS', text: page.synopsis },
    { title: 'DESCRIPTION', text: page.description },
    { title: 'OPTIONS', text: [...flagList, ...commonFlags] },
    { title: 'EXAMPLES', text: page.examples },
    { title: 'EXIT STATUS', text: exitTable(page.exit) },
    page.files === undefined ? null : { title: 'FILES', text: page.files },
    page.environment === undefined ? null : { title: 'ENVIRONMENT', text: page.environment },
    page.see === undefined ? null : { title: 'SEE ALSO', text: [page.see.join(', ')] },
  ]
  return all.filter((section) => section !== null)
}

function exitTable(exits: Command['page']['exit']): Section['text'] {
  return exits.toSorted(([a], [b]) => a - b).map(([code, when]) => [String(code), when] as const)
}

function flagTerm(long: string, flag: Flag): string {
  const names = flag.alias === undefined ? dashed(long) : `${dashed(flag.alias)}, ${dashed(long)}`
  const value = valueName(flag)
  return value === '' ? names : `${names} ${value}`
}

function flagMeaning(flag: Flag): string {
  const notes = [
    ...(flag.kind === 'list' ? ['may be given several times'] : []),
    ...(flag.default === undefined || flag.default === false ? [] : [`default ${flag.default}`]),
  ]
  return notes.length === 0 ? flag.about : `${flag.about} (${notes.join('; ')})`
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`
}

function wrap(text: string, width: number, indent: number): string {
  const margin = ' '.repeat(indent)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(margin + line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  lines.push(margin + line)
  return lines.join('\n')
}
