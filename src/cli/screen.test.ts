import fc from 'fast-check'
import { expect, it } from 'vitest'
import xterm from '@xterm/headless'
import { clip, redraw, Screen } from './screen.ts'
import { paint } from './table.ts'

const columns = 30
const rows = 8

function terminal() {
  const term = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true })
  const write = async (text: string): Promise<void> =>
    await new Promise((resolve) => term.write(text, resolve))
  const lines = (): string[] =>
    Array.from({ length: rows }, (_, row) => term.buffer.active.getLine(row)?.translateToString(true) ?? '')
  return { term, write, lines }
}

const page = fc.array(fc.stringMatching(/^[a-z0-9 █]{0,29}[a-z]$/), { maxLength: rows })
const padded = (lines: readonly string[]): string[] =>
  [...lines, ...Array<string>(rows).fill('')].slice(0, rows)

it('shows every page of a sequence as it is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(page, { minLength: 1, maxLength: 6 }), async (pages) => {
      const { write, lines } = terminal()
      let before: readonly string[] = []
      for (const after of pages) {
        await write(redraw(before, after))
        expect(lines()).toEqual(padded(after))
        before = after
      }
    }),
    { numRuns: 30 },
  )
})

it('sends only the rows that differ', () => {
  expect(redraw(['a', 'b', 'c'], ['a', 'B', 'c'])).toBe('\u001b[2;1HB\u001b[0m\u001b[K')
  expect(redraw(['a', 'b'], ['a', 'b'])).toBe('')
  expect(redraw(['a', 'b'], ['a'])).toBe('\u001b[2;1H\u001b[0m\u001b[K')
})

it('gives the first screen and the cursor back', async () => {
  const { term, write, lines } = terminal()
  await write('before\r\n')
  const sent: string[] = []
  const screen = new Screen((text) => sent.push(text))
  screen.draw(['one', 'two'], columns, rows)
  await write(sent.splice(0).join(''))
  expect(lines()).toEqual(padded(['one', 'two']))
  expect(term.buffer.active.type).toBe('alternate')
  screen.close()
  await write(sent.splice(0).join(''))
  expect(term.buffer.active.type).toBe('normal')
  expect(lines()).toEqual(padded(['before']))
})

it('cuts a page that is larger than the terminal, and draws it whole after a change of size', async () => {
  const { write, lines } = terminal()
  const sent: string[] = []
  const screen = new Screen((text) => sent.push(text))
  const long = Array.from({ length: 20 }, (_, n) => `${n} ${'x'.repeat(50)}`)
  screen.draw(long, columns, rows)
  await write(sent.splice(0).join(''))
  expect(lines()).toEqual(Array.from({ length: rows }, (_, n) => `${n} ${'x'.repeat(27)}…`))
  screen.draw(['short'], 20, rows)
  await write(sent.splice(0).join(''))
  expect(lines()).toEqual(padded(['short']))
})

it.each([
  ['abcdef', 6, 'abcdef'],
  ['abcdef', 5, 'abcd…'],
  [paint('red', 'abcdef'), 3, paint('red', 'ab…')],
  ['', 3, ''],
])('clips %j to %d', (line, width, clipped) => {
  expect(clip(line, width)).toBe(clipped)
})
