import { expect, it } from 'vitest'
import { told } from './told.ts'

it.each([
  [
    { up: true, reason: '' },
    { up: true, reason: '' },
  ],
  [
    { up: false, reason: 'offline' },
    { up: false, reason: 'offline' },
  ],
  [null, { up: null, reason: '' }],
])('what is known, %o, is the result, later', async (known, expected) => {
  let isOver = false
  const result = new Promise((resolve) => {
    told({ kind: 'told', ask: () => known }, (found) => {
      isOver = true
      resolve(found)
    })
  })
  expect(isOver).toBe(false)
  expect(await result).toEqual(expected)
})

it('a check that is called off has no result', async () => {
  let isAsked = false
  told({ kind: 'told', ask: () => ((isAsked = true), null) }, () => expect.fail('it was called off')).cancel()
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  expect(isAsked).toBe(false)
})
