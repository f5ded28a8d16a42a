import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const missing = ['wrk', 'nginx'].find((program) => spawnSync(program, ['-v']).error !== undefined)
const reason = missing === undefined ? '' : ` (skipped: ${missing} is not installed: run "npm run lab")`

describe.skipIf(missing !== undefined)(`the HTTP bench${reason}`, () => {
  it('measures proxies beside each other, without errors, and ends', async () => {
    const bench = fileURLToPath(new URL('gateway.ts', import.meta.url))
    const names = ['ring', 'nginx']
    const short = ['--rounds=1', '--seconds=1', '--idle=50', '--loads=post-64k', `--proxies=${names.join()}`]
    const { stdout } = await promisify(execFile)(process.execPath, [bench, ...short])
    const figure = String.raw`-?\d+(?:\.\d+)?`
    for (const name of names.filter((each) => !stdout.includes(`${each} is left out: `))) {
      expect(stdout).toMatch(new RegExp(`^\\| ${name} \\| ${figure} \\| ${figure} \\| ${figure} \\|$`, 'm'))
      const rows = stdout.match(new RegExp(`^\\| ${name} \\| ${figure} \\| .* \\|$`, 'gm')) ?? []
      const loaded = rows.filter((row) => row.split('|').length === 10)
      expect(loaded.map((row) => row.split('|').at(-2)?.trim())).toEqual(['0'])
    }
  })
})
