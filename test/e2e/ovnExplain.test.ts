import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { articleAddress, articlePort, servers, startArticle, type Article } from '../../lab/ovn/article.ts'
import { ovnMissing, physicalNetwork, type OvnLab, type OvnPort } from '../../lab/ovn/ovn.ts'
import type { OvnOptions } from '../../src/model/service.ts'
import { OvnPlane } from '../../src/planes/ovn/plane.ts'
import type { Change, VirtualService } from '../../src/planes/plane.ts'
import { plainDestination, plainService } from '../../src/planes/plain.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: explain on a real OVN: ${missing}`)

const { edgeVip, switchVip } = articleAddress
const places = { ...articleAddress, server: '10.1.0.11', office: '10.2.0.11', visitor: '10.3.0.100' }
type Place = keyof typeof places

/** Longer than until TCP sends again what was lost while a router asked for an address. */
const patienceMs = 1200

interface Attempt {
  readonly name: string
  readonly from: 'vm1' | 'vm3' | 'lan' | 'office' | 'visitor'
  readonly vip: string
  readonly switches?: readonly string[]
  readonly routers?: readonly string[]
  readonly ovn?: OvnOptions
  /** The article's servers where absent. */
  readonly backends?: readonly Place[]
  /** The article's own NAT rule is there. */
  readonly snat?: boolean
  /** Whether the client gets answers. */
  readonly answered: boolean
  /** A part of the only advice; null: there is none. */
  readonly advice: string | null
  /** A part of what ovn-trace says; null: there is no packet to ask about. */
  readonly trace: string | null
}

const balancedBy = (name: string, ...backends: readonly Place[]): string => {
  const listed = (backends.length === 0 ? servers : backends).map((one) => `${places[one]}:${articlePort}`)
  return `is balanced by ${name} (${listed.join(',')})`
}

const attempts: readonly Attempt[] = [
  {
    name: "the client's switch",
    from: 'vm3',
    vip: switchVip,
    switches: ['inside'],
    answered: true,
    advice: null,
    trace: `ovn-trace passes inside, tenant1, dmz, ${balancedBy('inside')} and comes out at port vm`,
  },
  {
    name: "the servers' switch only",
    from: 'vm3',
    vip: '172.16.255.63',
    switches: ['dmz'],
    answered: false,
    advice: 'attached only to switch dmz, where its backends are',
    trace: 'is balanced nowhere and is dropped by edge1 (lr_in_ip_routing)',
  },
  {
    name: "the servers' switch, asked by a server",
    from: 'vm1',
    vip: '172.16.255.63',
    switches: ['dmz'],
    answered: true,
    advice: 'attached only to switch dmz, where its backends are',
    trace: balancedBy('dmz'),
  },
  {
    name: 'the gateway router, from outside',
    from: 'lan',
    vip: edgeVip,
    routers: ['edge1'],
    snat: true,
    answered: true,
    advice: null,
    trace: `ovn-trace passes outside, edge1, transit, tenant1, dmz, ${balancedBy('edge1')}`,
  },
  {
    name: 'the gateway router, from inside, bare',
    from: 'vm3',
    vip: edgeVip,
    routers: ['edge1'],
    answered: false,
    advice: 'gateway router edge1 balances for clients on switch inside too',
    trace: balancedBy('edge1'),
  },
  {
    name: "the gateway router, from inside, with the article's SNAT rule",
    from: 'vm3',
    vip: edgeVip,
    routers: ['edge1'],
    snat: true,
    answered: true,
    advice: null,
    trace: balancedBy('edge1'),
  },
  {
    name: 'the gateway router, from inside, with force_snat',
    from: 'vm3',
    vip: edgeVip,
    routers: ['edge1'],
    ovn: { force_snat: 'router_ip' },
    answered: true,
    advice: null,
    trace: balancedBy('edge1'),
  },
  {
    name: 'a plain distributed router',
    from: 'vm3',
    vip: '172.16.255.61',
    routers: ['tenant1'],
    answered: false,
    advice: 'router tenant1 is distributed and has no gateway port',
    trace: balancedBy('tenant1'),
  },
  {
    name: "an address of the client's own network",
    from: 'vm3',
    vip: '172.16.255.250',
    switches: ['inside'],
    answered: false,
    advice: '172.16.255.250 lies in the network of switch inside and nobody there answers ARP for it',
    trace: null,
  },
  {
    name: 'a router with a gateway port, from outside',
    from: 'visitor',
    vip: '10.3.0.200',
    routers: ['border'],
    answered: true,
    advice:
      'router border balances only what passes its gateway port, so clients on switch office get no answer',
    backends: ['server'],
    trace: balancedBy('border', 'server'),
  },
  {
    name: 'a router with a gateway port, from inside',
    from: 'office',
    vip: '10.3.0.200',
    routers: ['border'],
    answered: false,
    advice:
      'router border balances only what passes its gateway port, so clients on switch office get no answer',
    backends: ['server'],
    trace: 'ovn-trace passes office, border',
  },
  {
    name: "a router with a gateway port and the client's switch, from inside",
    from: 'office',
    vip: '10.3.0.201',
    routers: ['border'],
    switches: ['office'],
    answered: true,
    advice: null,
    backends: ['server'],
    trace: balancedBy('office', 'server'),
  },
]

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
