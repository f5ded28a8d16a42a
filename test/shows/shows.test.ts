import { describe, it } from 'vitest'
import { shows } from './catalogue.ts'

describe('shows, reduced', () => {
  it.each(Object.entries(shows))('%s', async (_name, show) => {
    await show.run('reduced')
  })
})
