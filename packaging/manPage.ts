import type { Entry } from '../src/cli/index.ts'
import { sections, type Section } from '../src/cli/manual.ts'

/**
 * torb(1) in the language of man(7): the pages that `torb COMMAND --help` shows, one after the other.
 *
 * @param date day of the page, YYYY-MM-DD
 */
export async function manPage(
  commands: Readonly<Record<string, Entry>>,
  version: string,
  date: string,
): Promise<string> {
  const pages = await Promise.all(
    Object.entries(commands).map(async ([name, { summary, load }]) => {
      const parts = sections(name, summary, await load()).filter(({ title }) => title !== 'NAME')
      return [`.SH torb ${name}`, text(summary), ...parts.flatMap(section)]
    }),
  )
  return `${[
    `.TH TORB 1 "${date}" "Torb ${version}" "User Commands"`,
    '.SH NAME',
    'torb \\- load balancer with one REST API and exchangeable data planes',
    '.SH SYNOPSIS',
    '.nf',
    'torb COMMAND [FLAGS] [OPERANDS]',
    text('torb COMMAND --help'),
    text('torb --version'),
    '.fi',
    '.SH FILES',
    ...pair('/etc/torb/torb.yaml', 'configuration of the service that the Debian package brings'),
    ...pair('/var/lib/torb', 'its durable state, and the token of its API'),
    ...pages.flat(),
  ].join('\n')}\n`
}

function section({ title, text: items }: Section): string[] {
  const head = `.SS ${title.charAt(0)}${title.slice(1).toLowerCase()}`
  if (title === 'SYNOPSIS') return [head, '.nf', ...items.map((item) => text(String(item))), '.fi']
  return [
    head,
    ...items.flatMap((item) => (typeof item === 'string' ? [text(item), '.PP'] : pair(item[0], item[1]))),
  ]
}

const pair = (term: string, meaning: string): string[] => ['.TP', `.B ${text(term)}`, text(meaning)]

/** A line of text for man(7): no character of it is a command (groff_char(7)). */
function text(line: string): string {
  const plain = line
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll('…', '...')
    .replaceAll('→', '\\->')
  return /^[.']/.test(plain) ? `\\&${plain}` : plain
}
