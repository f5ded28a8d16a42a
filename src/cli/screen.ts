import { stripVTControlCharacters } from 'node:util'

/** The control sequences that turn a screen showing `before` into one showing `after`: only rows that differ are sent. */
export function redraw(before: readonly string[], after: readonly string[]): string {
  let output = ''
  for (let row = 0; row < Math.max(before.length, after.length); row++) {
    const line = after[row] ?? ''
    if (line !== (before[row] ?? '')) output += `\u001b[${row + 1};1H${line}\u001b[0m\u001b[K`
  }
  return output
}

/** A live page on the terminal's second screen; the first is as it was when it ends. */
export class Screen {
  #shown: readonly string[] = []
  #size = ''
  readonly #write: (text: string) => void

  constructor(write: (text: string) => void) {
    this.#write = write
    // Second screen, no cursor, no wrapping.
    write('\u001b[?1049h\u001b[?25l\u001b[?7l\u001b[2J')
  }

  draw(lines: readonly string[], columns: number, rows: number): void {
    const size = `${columns}x${rows}`
    const visible = lines.slice(0, rows).map((line) => clip(line, columns))
    // A terminal that changed its size has moved its rows.
    const reset = size === this.#size ? '' : '\u001b[2J'
    this.#write(reset + redraw(reset === '' ? this.#shown : [], visible))
    this.#shown = visible
    this.#size = size
  }

  close(): void {
    this.#write('\u001b[?7h\u001b[?25h\u001b[?1049l')
  }
}

/** At most `width` characters of a line that may hold control sequences. */
export function clip(line: string, width: number): string {
  if (stripVTControlCharacters(line).length <= width) return line
  let shown = 0
  let output = ''
  // oxlint-disable-next-line no-control-regex -- ESC begins the sequences
  for (const [part] of line.matchAll(/\u001b\[[\d;]*m|./gsu)) {
    if (part.startsWith('\u001b[')) output += part
    else if (shown < width - 1) {
      output += part
      shown++
    } else if (shown === width - 1) {
      output += '…'
      shown++
    }
  }
  return output
}
