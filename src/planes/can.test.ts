import { expect, it } from 'vitest'
import { plainService } from './plain.ts'
import { unsupported } from './can.ts'
import { ipvsCan } from './ipvs/can.ts'
import { ovnCan } from './ovn/can.ts'
import { userspaceCan } from './userspace/can.ts'

const http = plainService({ protocol: 'http', scheduler: 'wrr' })

it('http is for the userspace plane; ipvs refuses it and names that', () => {
  expect(unsupported(userspaceCan, http, [ipvsCan])).toBeNull()
  expect(unsupported(ipvsCan, http, [ipvsCan, userspaceCan])).toBe(
    'the ipvs plane cannot balance http; the userspace plane can',
  )
})

it('a scheduler that a virtual network lacks is refused with those it has, and with no plane that cannot carry the rest', () => {
  const plain = plainService({ scheduler: 'wlc' })
  const text = 'the ovn plane cannot schedule by wlc; it has rr, wrr, sh, dh, mh'
  expect(unsupported(ovnCan, plain, [ovnCan, userspaceCan])).toBe(`${text}; the userspace plane can`)
  const attach = { switches: ['inside'], routers: [], groups: [] }
  expect(unsupported(ovnCan, { ...plain, attach }, [ovnCan, userspaceCan])).toBe(text)
})

it.each([
  ['PROXY protocol', { proxyProtocol: true }, 'http tells backends by X-Forwarded-For'],
  ['one-packet', { flags: 0x04 }, 'leave the flag out: each request is scheduled anew'],
  ['any port', { port: 'any' }, 'take any port'],
] as const)('http with %s is refused with what helps', (_, rest, text) => {
  expect(unsupported(userspaceCan, { ...http, ...rest })).toContain(text)
})
