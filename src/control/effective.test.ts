import { describe, expect, it } from 'vitest'
import type { VirtualService } from '../planes/plane.ts'
import { sameService } from './effective.ts'

const service: VirtualService = {
  id: 'web',
  address: '10.0.0.1',
  port: 80,
  protocol: 'tcp',
  fwmark: 0,
  family: 4,
  scheduler: 'rr',
  flags: 0,
  persistence: { timeout: 60, prefix: 24 },
  proxyProtocol: false,
  attach: null,
  destinations: [],
}

describe('sameService', () => {
  it('does not look at the order of fields, which differs by who made the object', () => {
    const readBack = Object.fromEntries(Object.entries(service).toReversed()) as unknown as VirtualService
    expect(sameService(service, { ...readBack, persistence: { prefix: 24, timeout: 60 } })).toBe(true)
  })

  it.each<Partial<VirtualService>>([
    { scheduler: 'lc' },
    { flags: 1 },
    { persistence: null },
    { persistence: { timeout: 60, prefix: 32 } },
    { port: 'any' },
  ])('%j is a difference', (change) => {
    expect(sameService(service, { ...service, ...change })).toBe(false)
  })
})
