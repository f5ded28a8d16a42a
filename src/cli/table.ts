const sgr = { plain: 0, bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Style = keyof typeof sgr

export type Cell = string | { readonly text: string; readonly style: Style }

export interface Column {
  readonly title: string
  readonly align?: 'right'
  /** Blanks before it; 2 where not said. */
  readonly gap?: number
}

/** Lines of aligned columns under their titles. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  colour: boolean,
): string[] {
  const widths = columns.map(({ title }, i) =>
    Math.max(title.length, ...rows.map((row) => textOf(row[i]).length)),
  )
  const line = (cells: readonly Cell[]): string =>
    columns
      .map(({ align, gap = 2 }, i) => {
        const before = ' '.repeat(i === 0 ? 0 : gap)
        const cell = cells[i] ?? ''
        const shown = textOf(cell)
        const blanks = ' '.repeat((widths[i] ?? 0) - shown.length)
        const styled = typeof cell === 'string' || !colour ? shown : paint(cell.style, shown)
        if (align === 'right') return before + blanks + styled
        return before + (i === columns.length - 1 ? styled : styled + blanks)
      })
      .join('')
      .trimEnd()
  return [line(columns.map(({ title }) => ({ text: title, style: 'dim' as const }))), ...rows.map(line)]
}

export function paint(style: Style, text: string): string {
  return style === 'plain' || text === '' ? text : `\u001b[${sgr[style]}m${text}\u001b[0m`
}

function textOf(cell: Cell | undefined): string {
  return printable(typeof cell === 'string' ? cell : (cell?.text ?? ''))
}

/** Names and reasons come from others: nothing in them may steer the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '·')
}
