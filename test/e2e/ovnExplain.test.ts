import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { articlePort, servers, startArticle, type Article } from '../../lab/ovn/article.ts'
import { ovnMissing, physicalNetwork, type OvnLab, type OvnPort } from '../../lab/ovn/ovn.ts'
import { OvnPlane } from '../../src/planes/ovn/plane.ts'
import type { Change, VirtualService } from '../../src/planes/plane.ts'
import { plainDestination, plainService } from '../../src/planes/plain.ts'
import { attempts, places, proxied, type Attempt } from './ovnExplain.ts'
import { until } from '../../lab/until.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: explain on a real OVN: ${missing}`)

/** Longer than until TCP sends again what was lost while a router asked for an address. */
const patienceMs = 1200

/** Beside the article's network: a distributed router with a gateway port to the LAN, a server and a client inside. */
async function addBorder(lab: OvnLab): Promise<Readonly<Record<'office' | 'visitor' | 'server', OvnPort>>> {
  const joins = ['farm', 'office', 'public'].flatMap((name, i) => [
    `ls-add ${name}`,
    `lrp-add border border-${name} 02:00:00:00:0${i + 1}:01 10.${i + 1}.0.1/24`,
    `lsp-add ${name} ${name}-border`,
    `lsp-set-type ${name}-border router`,
    `lsp-set-addresses ${name}-border router`,
    `lsp-set-options ${name}-border router-port=border-${name}`,
  ])
  const commands = [
    'lr-add border',
    ...joins,
    'lrp-set-gateway-chassis border-public hv1',
    'lsp-add public public-localnet',
    'lsp-set-addresses public-localnet unknown',
    'lsp-set-type public-localnet localnet',
    `lsp-set-options public-localnet network_name=${physicalNetwork}`,
  ]
  await lab.nbctl(...commands.flatMap((command) => ['--', ...command.split(' ')]))
  const at = (name: 'server' | 'office' | 'visitor', gateway: string) => ({
    addresses: [`${places[name]}/24`],
    gateways: [gateway],
  })
  const [server, office, visitor] = await Promise.all([
    lab.port(1, 'farm', 'server', at('server', '10.1.0.1')),
    lab.port(1, 'office', 'office', at('office', '10.2.0.1')),
    lab.host(1, 'visitor', at('visitor', '10.3.0.1')),
  ])
  await (await server.traffic()).listen('server', places.server, articlePort)
  return { server, office, visitor }
}

/** What an attempt showed. */
interface Played {
  readonly service: string | null
  readonly steps: readonly string[]
  readonly answers: number
  readonly advice: readonly string[]
}

describe.skipIf(missing !== null)('explain on a real OVN agrees with the traffic', () => {
  let article: Article
  let hosts: Readonly<Record<string, OvnPort>>
  let plane: OvnPlane
  const played = new Map<Attempt, Played>()

  // Those that hang take as long as a client is patient, so that all of a round go on at the same time.
  beforeAll(async () => {
    article = await startArticle({ chassis: 1 })
    hosts = { ...article.hosts, ...(await addBorder(article.lab)) }
    await article.lab.nbctl(
      'lsp-set-options',
      'inside-tenant1',
      'router-port=tenant1-inside',
      `arp_proxy=${proxied}`,
    )
    const { nbAddress, sbAddress } = article.lab
    const quiet = { info: () => undefined, warn: () => undefined }
    plane = new OvnPlane({ northbound: [nbAddress], southbound: [sbAddress], owner: 'torb', log: quiet })
    await plane.open({ has: () => false, keys: () => [], note: () => undefined })
    for (const round of ['bare', 'snat', 'force_snat'] as const) {
      const attempted = attempts.filter((attempt) => roundOf(attempt) === round)
      await article.snat(round === 'snat')
      const services = new Map(attempted.map((attempt) => [idOf(attempt), serviceOf(attempt)]))
      await write([...services].map(([key, after]) => ({ key, before: null, after })))
      await Promise.all(attempted.map(async (attempt) => played.set(attempt, await play(attempt))))
      await write([...services].map(([key, before]) => ({ key, before, after: null })))
    }
  })
  afterAll(async () => {
    await plane?.close()
    article?.[Symbol.dispose]()
  })

  async function write(changes: readonly Change<VirtualService, string>[]): Promise<void> {
    for (const outcome of await plane.apply(changes)) expect(outcome).toEqual({ ok: true })
    await article.lab.sync()
  }

  async function play(attempt: Attempt): Promise<Played> {
    const { from, vip } = attempt
    const source = places[from]
    const client = await (hosts[from] ?? expect.unreachable(`${from} is a host`)).traffic()
    const [{ service, steps }, { answers }] = await Promise.all([
      plane.explain({
        protocol: 'tcp',
        source,
        sourcePort: 40_000,
        destination: vip,
        destinationPort: articlePort,
      }),
      client.exchange({
        protocol: attempt.backends === undefined ? 'http' : 'tcp',
        from: [source],
        to: { address: vip, port: articlePort },
        count: 8,
        concurrency: 8,
        patienceMs,
      }),
    ])
    return { service, steps, answers: answers.length, advice: plane.advice(idOf(attempt)) }
  }

  /** Does what the only advice has as a command, with NAME for what it leaves open. */
  async function follow(name: string): Promise<string> {
    const [sentence = '', ...more] = plane.advice('web')
    expect(more).toEqual([])
    const command =
      /"ovn-nbctl ([^"]*)"/.exec(sentence)?.[1] ?? expect.unreachable(`a command in: ${sentence}`)
    await article.lab.nbctl(...command.replace('NAME', name).split(' '))
    await until(() => plane.advice('web').length === 0)
    return sentence
  }

  it('names the row of somebody else with the same address, and how to detach it', async () => {
    const { lab } = article
    const after = { ...serviceOf({ ...anywhere, switches: ['inside'] }), id: 'web' }
    await write([{ key: 'web', before: null, after }])
    expect(plane.advice('web')).toEqual([])
    await lab.nbctl('lb-add', 'manual', `${anywhere.vip}:${articlePort}`, `${places.vm1}:${articlePort}`)
    await lab.nbctl('ls-lb-add', 'inside', 'manual')
    await until(() => plane.advice('web').length > 0)
    expect(await follow('')).toContain('load balancer manual')
    await lab.nbctl('lb-del', 'manual')
    await write([{ key: 'web', before: after, after: null }])
  })

  it('names commands that help: a group of nobody, a disabled port', async () => {
    const { lab } = article
    await lab.nbctl('create', 'Load_Balancer_Group', 'name=clients')
    const after = {
      ...serviceOf(anywhere),
      id: 'web',
      attach: { switches: [], routers: [], groups: ['clients'] },
    }
    await until(() => plane.refuses(after) === null)
    await write([{ key: 'web', before: null, after }])
    expect(await follow('inside')).toContain('no switch and no router refers to group clients')
    await lab.nbctl('lsp-set-enabled', 'vm1', 'disabled')
    await until(() => plane.advice('web').length > 0)
    expect(await follow('')).toContain('logical port vm1')
    await write([{ key: 'web', before: after, after: null }])
  })

  it.each(attempts)('$name', (attempt) => {
    const { service, steps, answers, advice } =
      played.get(attempt) ?? expect.unreachable('every attempt was played')
    expect(service).toBe(idOf(attempt))
    expect(answers > 0).toBe(attempt.answered)
    const path = steps.filter((step) => !/^(?:Advice|ovn-trace)/.test(step))
    expect(path.some((step) => step.endsWith('the client gets no answer.'))).toBe(!attempt.answered)
    if (attempt.trace === null) expect(steps.join('\n')).not.toContain('ovn-trace')
    else expect(steps.at(-1)).toContain(attempt.trace)
    expect(advice).toHaveLength(attempt.advice === null ? 0 : 1)
    if (attempt.advice !== null) expect(advice[0]).toContain(attempt.advice)
  })
})

const anywhere: Attempt = {
  name: 'web',
  from: 'vm3',
  vip: '172.16.255.60',
  answered: true,
  advice: null,
  trace: null,
}

const roundOf = ({ snat, ovn }: Attempt): 'bare' | 'snat' | 'force_snat' =>
  snat === true ? 'snat' : ovn === undefined ? 'bare' : 'force_snat'

/** One for each virtual address, which two attempts may share. */
const idOf = ({ vip }: Attempt): string => `at-${vip}`

function serviceOf(attempt: Attempt): VirtualService {
  const { vip, switches = [], routers = [], ovn = null, backends = servers } = attempt
  return plainService({
    id: idOf(attempt),
    address: vip,
    port: articlePort,
    attach: { switches, routers, groups: [] },
    ovn,
    destinations: backends.map((name) => plainDestination(places[name], { port: articlePort })),
  })
}
