import { stripVTControlCharacters, styleText } from 'node:util'
import { destination, pino, type DestinationStream, type Logger } from 'pino'

/** The log on standard error: one JSON object a line, or one plain line on a terminal. @param json on a terminal too */
export function openLog(verbose: boolean, json: boolean): Logger {
  const level = verbose ? 'debug' : 'info'
  if (json || !process.stderr.isTTY) return pino({ level }, destination({ dest: 2, sync: false }))
  const plain: DestinationStream = { write: (line) => void process.stderr.write(plainLine(line)) }
  return pino({ level, base: null }, plain)
}

const levels: Readonly<Record<number, Parameters<typeof styleText>[0]>> = {
  40: 'yellow',
  50: 'red',
  60: 'red',
}

/** `12:01:02 backend-down  service=web backend=a reason="connection refused"` out of a line of JSON. */
export function plainLine(line: string): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
  const at = new Date(Number(time)).toTimeString().slice(0, 8)
  const said = Object.entries(fields).map(([name, value]) => `${name}=${shown(value)}`)
  // As pino writes errors.
  const cause = (err as { readonly message?: string } | undefined)?.message
  if (cause !== undefined) said.push(printable(cause))
  const text = [at, printable(String(msg)), ...said].join(' ')
  const style = levels[Number(level)]
  return `${style === undefined ? text : styleText(style, text, { stream: process.stderr })}\n`
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return value.map(shown).join(',')
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /^[\w.:/-]+$/.test(text) ? text : JSON.stringify(printable(text))
}

/** Names come from outside: nothing of them may move the cursor. */
const printable = (text: string): string => stripVTControlCharacters(text).replaceAll(/\p{Cc}(?<!\n)/gu, '?')
