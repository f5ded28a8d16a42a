import { expect, it } from 'vitest'
import { explain } from './explain.ts'
import { runCommand } from '../../test/fixtures/commandLine.ts'

/** What goes to standard error, and the exit code. */
async function refused(...argv: string[]): Promise<string> {
  const commands = { explain: { summary: '', load: () => Promise.resolve(explain) } }
  const { code, out, err } = await runCommand(commands, 'explain', ...argv)
  return `${code} ${out}${err}`
}

it.each([
  [[], /^64 .*VIP:PORT or \/function\/NAME is missing: .* VIP:PORT, or .* \/function\/NAME/],
  [['function/f'], /^64 .*"function\/f" is neither VIP:PORT, such as .*, nor a path such as/],
  [['localhost:80'], /^64 .*"localhost:80" is neither/],
  [['10.0.0.1'], /^64 .*"10.0.0.1" is neither/],
  [['10.0.0.1:65536'], /^64 .*"10.0.0.1:65536" is neither/],
  [['--from', '1.2.3', '10.0.0.1:80'], /^64 .*--from cannot be "1.2.3": it takes an address/],
  [['--from', '1.2.3.4', '/function/f'], /^64 .*--from is for VIP:PORT/],
  [['--passed', '1', '10.0.0.1:80'], /^64 .*--passed is for a path/],
])('refuses %j before anybody is asked', async (argv, text) => {
  expect(await refused(...argv)).toMatch(text)
})
