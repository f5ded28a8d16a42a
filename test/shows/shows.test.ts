import { describe, it } from 'vitest'
import { shows } from './catalogue.ts'

describe('shows, reduced', () => {
  for (const [name, show] of Object.entries(shows)) {
    const reason = show.missing?.() ?? null
    it.skipIf(reason !== null)(reason === null ? name : `${name} (skipped: ${reason})`, async () => {
      await show.run('reduced')
    })
  }
})
