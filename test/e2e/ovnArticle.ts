import { setTimeout as sleep } from 'node:timers/promises'
import { articleAddress, articlePort, servers, told, type Article } from '../../lab/ovn/article.ts'
import type { ArticleCase } from '../../lab/ovn/articleCases.ts'
import { startDaemon, type RunningDaemon } from '../rig.ts'

/** That one of two servers is missed by all of these happens once in a million runs. */
const visits = 20

/** A Torb whose plane is the article's OVN. */
export function startTorb({ lab }: Article): Promise<RunningDaemon> {
  return startDaemon({ args: ['--plane', 'ovn', '--ovn-nb', lab.nbAddress, '--ovn-sb', lab.sbAddress] })
}

/** What became of a case: what its client met, in the words of `told`, and of what Torb warned. */
export interface Played {
  readonly met: string
  readonly advice: readonly string[]
}

/** Plays one case of the article with a service made by REST, in force on the hypervisor before anybody asks. */
export async function play(article: Article, torb: RunningDaemon, attempt: ArticleCase): Promise<Played> {
  const { from, service, snat = false, stopped, checked = false } = attempt
  const { vip, attach, forceSnat } = service
  await article.snat(snat)
  if (stopped !== undefined) await article.stopServer(stopped)
  const ovn = forceSnat === undefined ? {} : { ovn: { force_snat: forceSnat } }
  await write(torb, 'PUT', '/service/web', { host: vip, port: articlePort, method: 'rr', attach, ...ovn })
  try {
    const pulse = checked ? { type: 'tcp', interval: '1s' } : { type: 'none' }
    for (const name of servers)
      await write(torb, 'PUT', `/service/web/${name}`, {
        host: articleAddress[name],
        port: articlePort,
        pulse,
      })
    if (checked && stopped !== undefined) await down(torb, stopped)
    const advice = await applied(torb)
    return { met: told(await article.visit(from, vip, visits)), advice }
  } finally {
    await write(torb, 'DELETE', '/service/web')
    if (stopped !== undefined) await article.startServer(stopped)
  }
}

async function write(torb: RunningDaemon, method: string, path: string, body?: object): Promise<void> {
  const { status, body: said } = await torb.api(method, path, body)
  if (status !== 200) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(said)}`)
}

/** Waits until the checks have found out. */
async function down(torb: RunningDaemon, backend: string): Promise<void> {
  for (;;) {
    const { body } = await torb.api('GET', `/service/web/${backend}`)
    const { metrics } = body as { readonly metrics: { readonly status: number } }
    if (metrics.status === 1) return
    await sleep(20)
  }
}

/** Waits until all chassis have it; the caller's own limit ends it where they never do. @returns Torb's advice */
async function applied(torb: RunningDaemon): Promise<readonly string[]> {
  for (;;) {
    const { body } = await torb.api('GET', '/service/web')
    const { reconcile, advice = [] } = body as {
      readonly reconcile: { readonly state: string }
      readonly advice?: readonly string[]
    }
    if (reconcile.state === 'applied') return advice
    await sleep(20)
  }
}
