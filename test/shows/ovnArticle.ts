import { startArticle, type Article } from '../../lab/ovn/article.ts'
import { articleCases } from '../../lab/ovn/articleCases.ts'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import { play, startTorb } from '../e2e/ovnArticle.ts'
import type { Show } from './show.ts'

/** The article's cases as a table: what its author saw in 2016, what clients meet now, of what Torb warns. */
export const ovnArticle: Show = {
  about:
    'every case of an article of 2016 on OVN: what it saw, what clients meet now, and what Torb says to it',
  missing: ovnMissing,
  async run(size) {
    using article: Article = await startArticle({ chassis: 1 })
    await using torb = await startTorb(article)
    const figures: Record<string, string> = {}
    // In small only run 2: the rest is a test of its own (test/e2e/ovnArticle.test.ts), on two chassis.
    for (const attempt of size === 'full' ? articleCases : articleCases.slice(6, 7)) {
      const { met, advice } = await play(article, torb, attempt)
      if (met !== attempt.now) throw new Error(`${attempt.name}: ${met} instead of ${attempt.now}`)
      if (!advice.join().includes(attempt.advice ?? ''))
        throw new Error(`${attempt.name}: Torb does not warn that it is ${attempt.advice}`)
      figures[attempt.name] = [
        `\n    2016   ${attempt.seed ?? 'not tried'}`,
        `    now    ${met}`,
        `    Torb   ${advice.length === 0 ? 'nothing to say' : advice.join('\n           ')}`,
      ].join('\n')
    }
    return figures
  },
}
