import { articleAddress, articlePort, servers } from '../../lab/ovn/article.ts'
import type { OvnOptions } from '../../src/model/service.ts'

const { edgeVip, switchVip } = articleAddress
export const places = { ...articleAddress, server: '10.1.0.11', office: '10.2.0.11', visitor: '10.3.0.100' }
export type Place = keyof typeof places
/** Of the network of `inside`, whose port to the router answers ARP for it. */
export const proxied = '172.16.255.251'

/** Somebody asks a service, which is attached in some way. */
export interface Attempt {
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

export const attempts: readonly Attempt[] = [
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
    name: 'the gateway router, at an address outside, by its route or the one of add_route (OVN 24.03)',
    from: 'vm3',
    vip: '10.77.0.1',
    routers: ['edge1'],
    ovn: { force_snat: 'router_ip', add_route: true, neighbor_responder: 'all' },
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
    name: "an address of the client's own network that a port answers for by proxy",
    from: 'vm3',
    vip: proxied,
    switches: ['inside'],
    answered: true,
    advice: null,
    trace: balancedBy('inside'),
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
