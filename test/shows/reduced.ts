import { describe, it } from 'vitest'
import { shows } from './catalogue.ts'

/** The shows as tests, small. @param inOtherKernel those of User-Mode Linux, or all others */
export function describeReduced(inOtherKernel: boolean): void {
  describe('shows, reduced', () => {
    for (const [name, show] of Object.entries(shows)) {
      if ((show.inOtherKernel ?? false) !== inOtherKernel) continue
      const reason = show.onlyInFull ?? show.missing?.() ?? null
      it.skipIf(reason !== null)(reason === null ? name : `${name} (skipped: ${reason})`, async () => {
        await show.run('reduced')
      })
    }
  })
}
