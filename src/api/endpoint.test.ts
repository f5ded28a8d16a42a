import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endpointText } from '../model/address.ts'
import { parseEndpoint } from './endpoint.ts'

describe('parseEndpoint', () => {
  it.each([
    [':4672', { host: '', port: 4672 }],
    ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['localhost:65535', { host: 'localhost', port: 65_535 }],
    ['::1:80', null],
    ['[localhost]:80', null],
    ['localhost', null],
    ['1.2.3.4:65536', null],
    ['1.2.3.4:-1', null],
    ['', null],
  ])('%s', (text, expected) => {
    expect(parseEndpoint(text)).toEqual(expected)
  })

  it('reads back every endpoint', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 0, max: 65_535 }), (host, port) => {
        expect(parseEndpoint(endpointText(host, port))).toEqual({ host, port })
      }),
    )
  })
})
