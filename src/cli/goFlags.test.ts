import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseFlags, type FlagTable } from './goFlags.ts'

const table = {
  flush: { kind: 'boolean', alias: 'f', about: '' },
  interface: { kind: 'string', alias: 'i', about: '' },
  vipi: { kind: 'string', about: '' },
  listen: { kind: 'string', alias: 'l', about: '', default: ':4672' },
  'tcp-timeout': { kind: 'integer', about: '', min: 1, max: 100_000 },
  'host-name': { kind: 'list', about: '' },
  plane: { kind: 'string', about: '', choices: ['auto', 'ipvs'] },
} as const satisfies FlagTable

const nothing = {
  flush: undefined,
  interface: undefined,
  vipi: undefined,
  listen: ':4672',
  'tcp-timeout': undefined,
  'host-name': undefined,
  plane: undefined,
}

describe('what is accepted', () => {
  const cases: [line: string, flags: object, operands?: string[]][] = [
    ['', {}],
    ['-f', { flush: true }],
    ['--f', { flush: true }],
    ['-flush', { flush: true }],
    ['--flush', { flush: true }],
    ['-f=true', { flush: true }],
    ['-f=1', { flush: true }],
    ['-f=t', { flush: true }],
    ['-f=T', { flush: true }],
    ['-f=TRUE', { flush: true }],
    ['-f=True', { flush: true }],
    ['-f=false', { flush: false }],
    ['-f=0', { flush: false }],
    ['-f=f', { flush: false }],
    ['-f=F', { flush: false }],
    ['-f=FALSE', { flush: false }],
    ['-f=False', { flush: false }],
    // A boolean never takes the next argument.
    ['-f false', { flush: true }, ['false']],
    ['-f -f=false', { flush: false }],
    ['-f -i enp0s3', { flush: true, interface: 'enp0s3' }],
    ['-vipi eth0', { vipi: 'eth0' }],
    ['-vipi=eth0', { vipi: 'eth0' }],
    ['--vipi eth0', { vipi: 'eth0' }],
    ['-l :4673', { listen: ':4673' }],
    ['-l=', { listen: '' }],
    ['-i a=b', { interface: 'a=b' }],
    ['-i=a=b', { interface: 'a=b' }],
    ['-i -f', { interface: '-f' }],
    ['-i --', { interface: '--' }],
    ['-i one -i two', { interface: 'two' }],
    ['-tcp-timeout 60', { 'tcp-timeout': 60 }],
    ['--tcp-timeout=60', { 'tcp-timeout': 60 }],
    ['--host-name a --host-name=b', { 'host-name': ['a', 'b'] }],
    ['--plane ipvs', { plane: 'ipvs' }],
    ['a -f b', { flush: true }, ['a', 'b']],
    ['-f -- -i x', { flush: true }, ['-i', 'x']],
    ['-', {}, ['-']],
  ]
  it.each(cases)('%s', (line, flags, operands = []) => {
    const parsed = parseFlags(line.split(' ').filter(Boolean), table)
    expect(parsed).toEqual({ kind: 'run', flags: { ...nothing, ...flags }, operands })
  })

  it.each(['-h', '--help', '-help', '-f -h', '--h'])('%s asks for help', (line) => {
    expect(parseFlags(line.split(' '), table)).toEqual({ kind: 'help' })
  })
})

describe('what is refused', () => {
  const cases: [line: string, message: string][] = [
    ['--lisen :1', 'unknown flag --lisen: did you mean --listen?'],
    ['-tcptimeout 1', 'unknown flag --tcptimeout: did you mean --tcp-timeout?'],
    ['-x', 'unknown flag -x: --help lists those there are'],
    ['--elephant', 'unknown flag --elephant: --help lists those there are'],
    ['---f', '"---f" is not a flag: write -name or -name=value'],
    ['-=f', '"-=f" is not a flag: write -name or -name=value'],
    ['-i', '-i needs a value: -i TEXT'],
    ['--plane', '--plane needs a value: --plane auto|ipvs'],
    ['-f=yes', '-f cannot be "yes": it takes true or false'],
    ['-f=', '-f cannot be "": it takes true or false'],
    ['--tcp-timeout 1.5', '--tcp-timeout cannot be "1.5": it takes a whole number from 1 to 100000'],
    ['--tcp-timeout=-1', '--tcp-timeout cannot be "-1": it takes a whole number from 1 to 100000'],
    ['--tcp-timeout 0', '--tcp-timeout cannot be "0": it takes a whole number from 1 to 100000'],
    ['--plane ebfp', '--plane cannot be "ebfp": it takes one of auto, ipvs'],
  ]
  it.each(cases)('%s', (line, message) => {
    expect(parseFlags(line.split(' '), table)).toEqual({ kind: 'error', message })
  })
})

it('gives back every string value in each of the four spellings', () => {
  fc.assert(
    fc.property(fc.string(), fc.constantFrom('-', '--'), fc.boolean(), (value, dashes, attached) => {
      const args = attached ? [`${dashes}vipi=${value}`] : [`${dashes}vipi`, value]
      expect(parseFlags(args, table)).toEqual({
        kind: 'run',
        flags: { ...nothing, vipi: value },
        operands: [],
      })
    }),
  )
})

it('never throws, and gives operands in the order they came', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constantFrom('-f', '--', '-i', '--plane=auto', 'a'))),
      (args) => {
        const parsed = parseFlags(args, table)
        if (parsed.kind !== 'run') return
        let next = 0
        for (const operand of parsed.operands) {
          const at = args.indexOf(operand, next)
          expect(at).toBeGreaterThanOrEqual(next)
          next = at + 1
        }
      },
    ),
  )
})

it('says why a flag of another program is not there', () => {
  expect(parseFlags(['-store', 'x'], table, { store: 'it is built in' })).toEqual({
    kind: 'error',
    message: 'no flag --store: it is built in',
  })
})
