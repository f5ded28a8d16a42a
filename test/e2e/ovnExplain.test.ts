import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { articleAddress, articlePort, startArticle, type Article } from '../../lab/ovn/article.ts'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import type { OvnOptions } from '../../src/model/service.ts'
import { OvnPlane } from '../../src/planes/ovn/plane.ts'
import type { VirtualService } from '../../src/planes/plane.ts'
import { plainDestination, plainService } from '../../src/planes/plain.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: explain on a real OVN: ${missing}`)

const { edgeVip, switchVip, vm1, vm2 } = articleAddress

/** Longer than until TCP sends again what was lost while a router asked for an address. */
const patienceMs = 1200

interface Attempt {
  readonly name: string
  readonly from: 'vm1' | 'vm3' | 'lan'
  readonly vip: string
  readonly switches?: readonly string[]
  readonly routers?: readonly string[]
  readonly ovn?: OvnOptions
  /** The article's own NAT rule is there. */
  readonly snat?: boolean
  /** Whether the client gets answers. */
  readonly answered: boolean
  /** A part of the only advice; null: there is none. */
  readonly advice: string | null
  /** A part of what ovn-trace says; null: there is no packet to ask about. */
  readonly trace: string | null
}

const balancedBy = (name: string): string =>
  `is balanced by ${name} (${vm1}:${articlePort},${vm2}:${articlePort})`

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
    vip: switchVip,
    switches: ['dmz'],
    answered: false,
    advice: 'attached only to switch dmz, where its backends are',
    trace: 'is balanced nowhere and is dropped by edge1 (lr_in_ip_routing)',
  },
  {
    name: "the servers' switch, asked by a server",
    from: 'vm1',
    vip: switchVip,
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
    vip: switchVip,
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
]

describe.skipIf(missing !== null)('explain on a real OVN agrees with the traffic', () => {
  let article: Article
  let plane: OvnPlane

  beforeAll(async () => {
    article = await startArticle({ chassis: 1 })
    const { nbAddress, sbAddress } = article.lab
    const quiet = { info: () => undefined, warn: () => undefined }
    plane = new OvnPlane({ northbound: [nbAddress], southbound: [sbAddress], owner: 'torb', log: quiet })
    await plane.open({ has: () => false, keys: () => [], note: () => undefined })
  })
  afterAll(async () => {
    await plane?.close()
    article?.[Symbol.dispose]()
  })

  async function write(after: VirtualService | null): Promise<void> {
    const [outcome] = await plane.apply([{ key: 'web', before: null, after }])
    expect(outcome).toEqual({ ok: true })
    await article.lab.sync()
  }

  it.each(attempts)('$name', async ({ from, vip, switches = [], routers = [], ovn, snat, ...expected }) => {
    await article.snat(snat === true)
    await write(
      plainService({
        address: vip,
        port: articlePort,
        attach: { switches, routers, groups: [] },
        ovn: ovn ?? null,
        destinations: [vm1, vm2].map((address) => plainDestination(address, { port: articlePort })),
      }),
    )
    const source = articleAddress[from]
    const { service, steps } = await plane.explain({
      protocol: 'tcp',
      source,
      sourcePort: 40_000,
      destination: vip,
      destinationPort: articlePort,
    })
    expect(service).toBe('web')
    const { answers } = await (
      await article.hosts[from].traffic()
    ).exchange({
      protocol: 'http',
      from: [source],
      to: { address: vip, port: articlePort },
      count: 8,
      concurrency: 8,
      patienceMs,
    })
    const path = steps.filter((step) => !/^(?:Advice|ovn-trace)/.test(step))
    expect(answers.length > 0).toBe(expected.answered)
    expect(path.some((step) => step.endsWith('the client gets no answer.'))).toBe(!expected.answered)
    if (expected.trace === null) expect(steps.join('\n')).not.toContain('ovn-trace')
    else expect(steps.at(-1)).toContain(expected.trace)
    const said = plane.advice('web')
    expect(said).toHaveLength(expected.advice === null ? 0 : 1)
    if (expected.advice !== null) expect(said[0]).toContain(expected.advice)
    await write(null)
  })
})
