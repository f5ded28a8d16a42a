import { expect, it } from 'vitest'
import { commands } from '../../src/cli/index.ts'
import { dashed } from '../../src/cli/goFlags.ts'
import { manualPage, reference } from '../../src/cli/manual.ts'

it('docs/cli.md holds the pages of --help', async () => {
  await expect(await reference(commands)).toMatchFileSnapshot('../../docs/cli.md')
})

it.each(Object.entries(commands))('the page of torb %s is whole', async (name, { summary, load }) => {
  const command = await load()
  const page = manualPage(name, summary, command, 80)
  const titles = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'OPTIONS', 'EXAMPLES', 'EXIT STATUS']
  for (const title of titles) expect(page).toMatch(new RegExp(`^${title}$`, 'm'))
  for (const flag of Object.keys(command.flags)) expect(page).toContain(dashed(flag))
  for (const { about } of Object.values(command.flags)) expect(about).not.toBe('')
  // Nothing but a synopsis, an example and a path, which are not wrapped, is wider than the terminal.
  const wide = page.split('\n').filter((line) => line.length > 80 && !/^ {4}\S/.test(line))
  expect(wide).toEqual([])
  const codes = command.page.exit.map(([code]) => code)
  expect(new Set(codes).size).toBe(codes.length)
})
