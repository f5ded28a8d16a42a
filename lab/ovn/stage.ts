import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { clients, failureText, servers, startArticle, type Article } from './article.ts'
import { ovnMissing } from './ovn.ts'

/**
 * The article's network as a process of its own, for `torb demo --ovn`, which imports nothing of the lab.
 *
 * It says `stage ready URL NORTHBOUND SOUTHBOUND`: the databases' addresses, and where `GET /visit?from=vm3&vip=ADDRESS&count=4`
 * lets a host ask. The answer has which servers answered whom, as they see it, and what failed. With `--missing` it only tells what is
 * missing here, if anything. It ends, and the network with it, by SIGINT and SIGTERM.
 */
if (process.argv.includes('--missing')) {
  process.stdout.write(ovnMissing() ?? '')
} else {
  const article = await startArticle({ chassis: 1 })
  const server = createServer((request, response) => {
    // oxlint-disable-next-line promise/catch-or-return -- both outcomes are answered
    visit(article, new URL(request.url ?? '', 'http://stage').searchParams).then(
      (report) => response.end(JSON.stringify(report)),
      (error: Error) => response.writeHead(400).end(error.message),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { nbAddress, sbAddress } = article.lab
  const { port } = server.address() as AddressInfo
  process.stdout.write(`stage ready http://127.0.0.1:${port} ${nbAddress} ${sbAddress}\n`)
}

async function visit(article: Article, query: URLSearchParams): Promise<object> {
  const from = [...clients, ...servers].find((role) => role === query.get('from'))
  if (from === undefined) throw new Error(`from has to be one of ${[...clients, ...servers].join(', ')}`)
  const report = await article.visit(from, query.get('vip') ?? '', Number(query.get('count') ?? 1))
  return {
    answers: report.answers.map(({ backend, client }) => ({ server: backend, client })),
    failures: report.failures.map(failureText),
  }
}
