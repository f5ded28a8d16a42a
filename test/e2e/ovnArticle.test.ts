import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startArticle, type Article } from '../../lab/ovn/article.ts'
import { articleCases } from '../../lab/ovn/articleCases.ts'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import type { RunningDaemon } from '../rig.ts'
import { play, startTorb } from './ovnArticle.ts'
import { until } from '../../lab/until.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: the article on OVN's load balancer: ${missing}`)

describe.skipIf(missing !== null)("the article on OVN's load balancer (2016), its services by Torb", () => {
  let article: Article
  let torb: RunningDaemon

  beforeAll(async () => {
    article = await startArticle({ chassis: 2 })
    torb = await startTorb(article)
  })
  afterAll(async () => {
    await torb?.[Symbol.asyncDispose]()
    article?.[Symbol.dispose]()
  })

  it.each(articleCases)('$name', async (attempt) => {
    const { met, advice } = await play(article, torb, attempt)
    expect(met).toBe(attempt.now)
    expect(advice).toEqual(attempt.advice === null ? [] : [expect.stringContaining(attempt.advice)])
  })

  it('leaves nothing of services that were deleted', async () => {
    const { lab } = article
    // A row that resets connections may stand a moment longer.
    await until(async () => (await lab.nbctl('--bare', '--columns=name', 'list', 'Load_Balancer')) === '')
    expect(await lab.nbctl('get', 'Logical_Router', 'edge1', 'options')).not.toContain('lb_force_snat_ip')
  })
})
