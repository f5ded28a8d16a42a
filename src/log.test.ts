import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { plainLine } from './log.ts'

const line = (fields: object): string =>
  stripVTControlCharacters(plainLine(JSON.stringify({ level: 40, time: 0, ...fields }))).replace(/^\S+ /, '')

describe('a line of the log on a terminal', () => {
  it.each([
    [
      { msg: 'backend-down', service: 'web', backend: 'a', reason: 'connection refused' },
      'backend-down service=web backend=a reason="connection refused"',
    ],
    [{ msg: 'drain-ended', active: 0 }, 'drain-ended active=0'],
    [{ msg: 'x', zones: ['a', 'b c'] }, 'x zones=a,"b c"'],
    [{ msg: 'x', err: { message: 'it broke', stack: '…' } }, 'x it broke'],
    [{ msg: 'x', service: '\u001b[2Jevil\r' }, 'x service="evil?"'],
  ])('%j', (fields, text) => {
    expect(line(fields)).toBe(`${text}\n`)
  })
})
