import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startArticle, type Article } from '../../lab/ovn/article.ts'
import { articleCases } from '../../lab/ovn/articleCases.ts'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import { playByHand } from './ovnArticle.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: the article on OVN's load balancer: ${missing}`)

describe.skipIf(missing !== null)("the article on OVN's load balancer (2016)", () => {
  let article: Article

  beforeAll(async () => {
    article = await startArticle({ chassis: 2 })
  })
  afterAll(() => article?.[Symbol.dispose]())

  it.each(articleCases)('$name', async (attempt) => {
    expect(await playByHand(article, attempt)).toBe(attempt.now)
  })
})
