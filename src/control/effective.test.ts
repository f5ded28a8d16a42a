import { describe, expect, it } from 'vitest'
import { plainService } from '../planes/plain.ts'
import type { VirtualService } from '../planes/plane.ts'
import { sameService } from './effective.ts'

const service = plainService({ persistence: { timeout: 60, prefix: 24 } })

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
    { http: {} },
  ])('%j is a difference', (change) => {
    expect(sameService(service, { ...service, ...change })).toBe(false)
  })
})
