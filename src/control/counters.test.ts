import { describe, expect, it } from 'vitest'
import { MemoryPlane } from '../../test/fixtures/memoryPlane.ts'
import { plainService } from '../planes/plain.ts'
import { countersOf } from './counters.ts'

describe('counters of several planes', () => {
  it('come from those that answer; only where none does there are none', async () => {
    const [kernel, network] = [new MemoryPlane({ name: 'ipvs' }), new MemoryPlane({ name: 'ovn' })]
    kernel.held.set('a', plainService({ id: 'a' }))
    network.held.set('b', plainService({ id: 'b' }))
    const warned: object[] = []
    const log = { info: () => undefined, warn: (fields: object) => void warned.push(fields) }
    const counters = countersOf(
      new Map([
        ['ipvs', kernel],
        ['ovn', network],
      ]),
      new Set(),
      log,
      () => 0,
    )
    expect([...(await counters()).keys()]).toEqual(['a', 'b'])
    const gone = () => Promise.reject(new Error('gone'))
    network.counters = gone
    expect([...(await counters()).keys()]).toEqual(['a'])
    expect([...(await counters()).keys()]).toEqual(['a'])
    expect(warned).toMatchObject([{ plane: 'ovn' }])
    kernel.counters = gone
    await expect(counters()).rejects.toThrow('gone')
  })
})
