import { articleAddress, articlePort, servers, told, type Article } from '../../lab/ovn/article.ts'
import type { ArticleCase } from '../../lab/ovn/articleCases.ts'

/** One out of two servers misses all of these once in a million runs. */
const visits = 20

/** Plays one case of the article with the load balancer's row made by hand. @returns what its client met, in the words of `told` */
export async function playByHand(
  article: Article,
  { from, service, snat = false, stopped }: ArticleCase,
): Promise<string> {
  const { lab } = article
  const { vip, attach, forceSnat } = service
  const backends = servers.map((name) => `${articleAddress[name]}:${articlePort}`).join(',')
  await article.snat(snat)
  if (stopped !== undefined) await article.stopServer(stopped)
  await lab.nbctl(
    '--wait=hv',
    'lb-add',
    'web',
    `${vip}:${articlePort}`,
    backends,
    ...(attach.switches ?? []).flatMap((name) => ['--', 'ls-lb-add', name, 'web']),
    ...(attach.routers ?? []).flatMap((name) => ['--', 'lr-lb-add', name, 'web']),
    ...(forceSnat === undefined
      ? []
      : ['--', 'set', 'Logical_Router', 'edge1', `options:lb_force_snat_ip=${forceSnat}`]),
  )
  try {
    return told(await article.visit(from, vip, visits))
  } finally {
    await lab.nbctl(
      '--wait=hv',
      'lb-del',
      'web',
      '--',
      'remove',
      'Logical_Router',
      'edge1',
      'options',
      'lb_force_snat_ip',
    )
    if (stopped !== undefined) await article.startServer(stopped)
  }
}
