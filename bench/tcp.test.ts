import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

it('the TCP bench measures Torb and the peers that are installed, and ends', async () => {
  const bench = fileURLToPath(new URL('tcp.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [bench, '--quick'])
  expect(stdout).toMatch(/^\| torb \| \d+\.\d \|/m)
  expect(stdout).toMatch(/^\| direct \|/m)
  for (const peer of ['haproxy', 'nginx stream']) {
    expect(stdout).toMatch(new RegExp(`^(\\| ${peer} \\| \\d|${peer} is left out: )`, 'm'))
  }
})
