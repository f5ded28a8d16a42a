import type { Command } from './command.ts'
import { dashed, valueName, type Flag } from './goFlags.ts'
import type { Entry } from './index.ts'

interface Section {
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
export function manualMarkdown(name: string, summary: string, command: Command): string {
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

function sections(name: string, summary: string, { page, flags }: Command): Section[] {
  const flagList = Object.entries(flags).map(
    ([long, flag]) => [flagTerm(long, flag), flagMeaning(flag)] as const,
  )
  const all: (Section | null)[] = [
    { title: 'NAME', text: [`torb ${name} - ${summary}`] },
    { title: 'SYNOPSIS', text: page.synopsis },
    { title: 'DESCRIPTION', text: page.description },
    { title: 'OPTIONS', text: [...flagList, ...commonFlags] },
    { title: 'EXAMPLES', text: page.examples },
    { title: 'EXIT STATUS', text: page.exit.map(([code, when]) => [String(code), when] as const) },
    page.files === undefined ? null : { title: 'FILES', text: page.files },
    page.environment === undefined ? null : { title: 'ENVIRONMENT', text: page.environment },
    page.see === undefined ? null : { title: 'SEE ALSO', text: [page.see.join(', ')] },
  ]
  return all.filter((section) => section !== null)
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
