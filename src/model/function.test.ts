import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  functionPrefix,
  isFunctionName,
  parseFunction,
  parseFunctionKey,
  patchFunction,
  readFunction,
  readInstance,
} from './function.ts'
import { Refusal } from './refusal.ts'

const refusalOf = (run: () => unknown): string => {
  try {
    run()
    return ''
  } catch (error) {
    if (error instanceof Refusal && error.code === 'invalid') return error.message
    throw error
  }
}

describe('a value of etcd', () => {
  it.each([
    ['{"ips": ["127.0.0.1:9001"], "weights":[3]}', { ips: ['127.0.0.1:9001'], weights: [3] }],
    ['{"ips":[],"weights":[]}', { ips: [], weights: [] }],
    ['{"ips":["a","b:81"],"weights":[0.25,0]}', { ips: ['a', 'b:81'], weights: [0.25, 0] }],
    [
      '{"ips":["a"],"weights":[1],"method":"hash","hash_header":"X-User","limits":{"in_flight":2,"queue":1,"wait":"2s"},"ejection":null}',
      {
        ips: ['a'],
        weights: [1],
        method: 'hash',
        hash_header: 'X-User',
        limits: { in_flight: 2, queue: 1, wait: '2s' },
        ejection: null,
      },
    ],
  ])('%s is read', (text, spec) => {
    expect(parseFunction(text)).toEqual(spec)
  })

  it.each([
    ['{"ips":["a"]', 'the value is not JSON'],
    ['{"ips":["a"]}', 'weights: must be an array, not absent'],
    ['[]', 'must be an object, not an array'],
    ['{"ips":["a","b"],"weights":[1]}', 'weights has 1 numbers for the 2 of ips: give one weight'],
    ['{"ips":["a"],"weights":[1,2]}', 'weights has 2 numbers for the 1 of ips'],
    ['{"ips":["a"],"weights":[-1]}', 'weights.0: must not be negative: give 0'],
    ['{"ips":["a"],"weights":["1"]}', 'weights.0: must be a number from 0 up'],
    ['{"ips":["a"],"weights":[1e300]}', 'weights.0: must be at most 1000000000'],
    ['{"ips":["http://a"],"weights":[1]}', 'ips: "http://a" is no instance: leave the scheme'],
    ['{"ips":["a"],"weights":[1],"weight":1}', 'unknown field "weight" (did you mean "weights"?)'],
    ['{"ips":["a"],"weights":[1],"hash_header":"X"}', 'hash_header needs "method": "hash"'],
    ['{"ips":["a"],"weights":[1],"limits":{"queue":1}}', 'limits.queue needs limits.in_flight'],
    [
      '{"ips":["a"],"weights":[1],"limits":{"in_flight":1,"wait":"2"}}',
      'limits.wait: "2" must be a whole number above 0 with its unit',
    ],
    [
      '{"ips":["a"],"weights":[1],"ejection":{"base":"0s"}}',
      'ejection.base: "0s" must be a whole number above 0 with its unit',
    ],
  ])('%s is refused: %s', (text, message) => {
    expect(refusalOf(() => parseFunction(text))).toContain(message)
  })
})

describe('an instance', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1', 80],
    ['10.0.0.1:8080', '10.0.0.1', 8080],
    ['[2001:DB8::1]:81', '2001:db8::1', 81],
    ['[::1]', '::1', 80],
    ['Resnet.default.svc.cluster.local:5000', 'resnet.default.svc.cluster.local', 5000],
    ['my_pod', 'my_pod', 80],
  ])('%s is %s port %i', (text, host, port) => {
    expect(readInstance(text)).toEqual({ host, port })
  })

  it.each([
    '',
    ':80',
    '::1',
    'a:0',
    'a:65536',
    'a:',
    'a b',
    'a/b',
    '[10.0.0.1]:80',
    '[::1',
    '1.2.3',
    '010.0.0.1',
    'a..b',
    '-a',
    'a\r\nX: y',
  ])('"%s" is none', (text) => {
    expect(refusalOf(() => readInstance(text))).toContain('is no instance')
  })
})

it('a patch replaces what it names, and the result is as strict as a new function', () => {
  const spec = readFunction({ ips: ['a', 'b'], weights: [1, 2], retries: 3 })
  expect(patchFunction(spec, { weights: [5, 1] })).toEqual({ ips: ['a', 'b'], weights: [5, 1], retries: 3 })
  expect(refusalOf(() => patchFunction(spec, { weights: [5] }))).toContain('weights has 1 numbers')
  // What feedback wrote is kept beside other changes; weights of an operator end it.
  const written = { ...spec, weights: [60, 40], base_weights: [1, 1] }
  expect(patchFunction(written, { retries: 1 })).toEqual({ ...written, retries: 1 })
  expect(patchFunction(written, { weights: [5, 1] })).toEqual({ ...spec, weights: [5, 1] })
  expect(refusalOf(() => patchFunction(spec, { base_weights: [1] }))).toContain('base_weights has 1')
  // What only hash goes by goes with it.
  const hashed = { ...spec, method: 'hash', hash_header: 'X-Session' } as const
  expect(patchFunction(hashed, { retries: 1 })).toEqual({ ...hashed, retries: 1 })
  expect(patchFunction(hashed, { method: 'wrr' })).toEqual({ ...spec, method: 'wrr' })
  expect(refusalOf(() => patchFunction(spec, { hash_header: 'X' }))).toContain('hash_header needs')
})

describe('a key', () => {
  it('has four parts', () => {
    expect(parseFunctionKey('golb/function/zone-b/resnet')).toEqual({ zone: 'zone-b', name: 'resnet' })
    expect('golb/function/zone-b2/x'.startsWith(functionPrefix('zone-b'))).toBe(false)
  })

  it.each([
    'golb/function/zone-b',
    'golb/function/zone-b/',
    'golb/function/zone-b/a/b',
    'golb/service/zone-b/a',
    'golb/function/zone-b/a b',
    'golb/function/zone-b/..',
    'golb/function/zone-b/a%2F',
    '/golb/function/zone-b/a',
  ])('"%s" is refused', (key) => {
    expect(refusalOf(() => parseFunctionKey(key))).toContain('key "')
  })

  it('is that of every name that can stand in a path', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', minLength: 1 }), (name) => {
        if (!isFunctionName(name)) return
        expect(parseFunctionKey(`${functionPrefix('z')}${name}`)).toEqual({ zone: 'z', name })
        // As it is sent by every client: nothing in it is escaped or means something else.
        expect(new URL(`http://h/function/${name}`).pathname).toBe(`/function/${name}`)
      }),
    )
  })
})
