import { expect, it } from 'vitest'
import { unsupported } from './can.ts'
import { ipvsCan } from './ipvs/can.ts'
import type { VirtualService } from './plane.ts'
import { userspaceCan } from './userspace/can.ts'

const http: VirtualService = {
  id: 'web',
  address: '10.0.0.1',
  port: 80,
  protocol: 'http',
  fwmark: 0,
  family: 4,
  scheduler: 'wrr',
  flags: 0,
  persistence: null,
  proxyProtocol: false,
  attach: null,
  destinations: [],
}

it('http is for the userspace plane; ipvs refuses it and names that', () => {
  expect(unsupported(userspaceCan, http, [ipvsCan])).toBeNull()
  expect(unsupported(ipvsCan, http, [ipvsCan, userspaceCan])).toBe(
    'the ipvs plane cannot balance http; the userspace plane can',
  )
})

it.each([
  ['PROXY protocol', { proxyProtocol: true }, 'http tells backends by X-Forwarded-For'],
  ['one-packet', { flags: 0x04 }, 'leave the flag out: each request is scheduled anew'],
  ['any port', { port: 'any' }, 'take any port'],
] as const)('http with %s is refused with what helps', (_, rest, text) => {
  expect(unsupported(userspaceCan, { ...http, ...rest })).toContain(text)
})
