import { expect, it } from 'vitest'
import { lookalikes } from './attachments.ts'

it.each([
  ['insde', ['inside', 'dmz', 'outside'], ['inside']],
  ['Inside', ['inside', 'insider'], ['inside', 'insider']],
  ['edge', ['edge1', 'edge2', 'tenant1'], ['edge1', 'edge2']],
  ['dmz', ['inside', 'transit'], []],
  ['isnide', ['inside', 'dmz'], ['inside']],
])('%s is taken for what is written nearly so', (name, names, expected) => {
  expect(lookalikes(name, names)).toEqual(expected)
})
