import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { goJson } from './json.ts'

describe('goJson', () => {
  it('indents by one tab and ends without a newline', () => {
    expect(goJson({ error: 'no', list: [1, { a: null }], none: [], empty: {} })).toBe(
      '{\n\t"error": "no",\n\t"list": [\n\t\t1,\n\t\t{\n\t\t\t"a": null\n\t\t}\n\t],\n\t"none": [],\n\t"empty": {}\n}',
    )
  })

  it('escapes what Go escapes', () => {
    expect(goJson('<a>&"\u2028\u2029é')).toBe('"\\u003ca\\u003e\\u0026\\"\\u2028\\u2029é"')
  })

  it('means the same as any other JSON of the value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(goJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})
