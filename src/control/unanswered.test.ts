import { expect, it } from 'vitest'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import { Refusal } from '../model/refusal.ts'
import type { Outcome } from '../planes/plane.ts'

/** Does what it is asked and then does not answer. */
class SilentPlane extends NetworkPlane {
  silent = true

  override async apply(...given: Parameters<NetworkPlane['apply']>): Promise<Outcome[]> {
    const outcomes = await super.apply(...given)
    if (!this.silent) return outcomes
    return given[0].map(() => ({ ok: false, error: new Refusal('unreachable', 'no answer') }))
  }
}

it('what a plane made without an answer, before Torb was killed, goes with the next start', async () => {
  const [store, plane] = [new MemoryStore(), new SilentPlane()]
  const killed = await memoryControl(store, plane)
  const created = killed.createService(
    'web',
    { host: '10.0.0.1', port: 80, attach: { switches: ['inside'] } },
    'rest',
  )
  await expect(created).rejects.toMatchObject({ code: 'unreachable' })
  await killed.close()
  expect([...plane.held.keys()]).toEqual(['web'])

  plane.silent = false
  const next = await memoryControl(store, plane)
  expect([next.serviceIds(), [...plane.held.keys()]]).toEqual([[], []])
  await next.close()
  expect([...store.rows.values()].filter((rows) => rows.size > 0)).toEqual([])
})
