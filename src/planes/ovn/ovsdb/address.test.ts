import { describe, expect, it } from 'vitest'
import { Refusal } from '../../../model/refusal.ts'
import { explain, parseAddress, type OvsdbAddress } from './address.ts'

describe('addresses', () => {
  it.each<[string, OvsdbAddress]>([
    ['unix:/run/ovn/ovnnb_db.sock', { kind: 'unix', path: '/run/ovn/ovnnb_db.sock' }],
    ['tcp:10.0.0.1:6641', { kind: 'tcp', host: '10.0.0.1', port: 6641 }],
    ['ssl:db.example:6641', { kind: 'ssl', host: 'db.example', port: 6641 }],
    ['tcp:[fd00::1]:6641', { kind: 'tcp', host: 'fd00::1', port: 6641 }],
  ])('are read: %s', (text, expected) => {
    expect(parseAddress(text)).toEqual(expected)
  })

  it.each([
    '',
    'unix:',
    '/run/ovn/ovnnb_db.sock',
    'tcp:10.0.0.1',
    'tcp:10.0.0.1:0',
    'tcp:10.0.0.1:65536',
    'tcp:fd00::1:6641',
    'tcp:[fd00::1:6641',
    'ptcp:6641',
    'tcp:10.0.0.1:6641 ',
    `unix:/${'x'.repeat(107)}`,
  ])('are refused: %s', (text) => {
    expect(() => parseAddress(text)).toThrow(Refusal)
  })

  it('that failed say why, with all of a host having failed too', () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    expect(explain(new AggregateError([refused, refused]))).toMatch('nobody listens there')
    expect(explain(new Error('strange'))).toBe('the connection failed: strange')
  })
})
