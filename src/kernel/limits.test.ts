import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { openFileLimit } from './limits.ts'

describe('open files', () => {
  it.runIf(process.platform === 'linux')('the limit is what the shell says of a child', () => {
    const text = execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim()
    expect(openFileLimit()).toBe(text === 'unlimited' ? 2 ** 20 : Number(text))
  })

  it.each([
    ['Max open files            1024                 524288               files', 1024],
    ['Max open files            unlimited            unlimited            files', 2 ** 20],
    ['', 256],
  ])('"%s" allows %i', (limits, count) => {
    expect(openFileLimit(limits)).toBe(count)
  })
})
