/** How much of a line is shown, so that a file of one long line stays readable. */
const shownBefore = 60
const shownAfter = 40

export interface Position {
  /** Both from 1; columns are characters (code points). */
  readonly line: number
  readonly column: number
}

export function positionAt(text: string, offset: number): Position {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: Array.from(before.slice(start)).length + 1 }
}

/** `file:line:column: message`, the line, and a caret under the place. */
export function report(file: string, text: string, offset: number, message: string): string {
  const { line, column } = positionAt(text, offset)
  const start = text.lastIndexOf('\n', offset - 1) + 1
  const end = text.indexOf('\n', offset)
  const whole = text.slice(start, end < 0 ? text.length : end)
  const from = Math.max(0, offset - start - shownBefore)
  const to = Math.min(whole.length, offset - start + shownAfter)
  const shown = `${from > 0 ? '…' : ''}${printable(whole.slice(from, to))}${to < whole.length ? '…' : ''}`
  const indent = `${from > 0 ? ' ' : ''}${printable(whole.slice(from, offset - start)).replaceAll(/[^\t]/gu, ' ')}`
  const number = String(line)
  return `${file}:${line}:${column}: ${message}\n  ${number} | ${shown}\n  ${' '.repeat(number.length)} | ${indent}^`
}

/** A terminal must not be steered by what stands in a file. */
const printable = (text: string): string => text.replaceAll(/[^\P{C}\t]/gu, '?')
