import { articleAddress, type Article } from './article.ts'

/** Where a service is attached, and what else it asks for, in the words of Torb's API. */
export interface ArticleService {
  readonly vip: string
  readonly attach: { readonly switches?: readonly string[]; readonly routers?: readonly string[] }
  /** lb_force_snat_ip of its router. */
  readonly forceSnat?: string
}

/** One attempt of the article: who asked what, and what became of it. */
export interface ArticleCase {
  readonly name: string
  readonly from: Parameters<Article['visit']>[0]
  readonly service: ArticleService
  /** The article's own NAT rule is on edge1. */
  readonly snat?: boolean
  /** This web server has been ended. */
  readonly stopped?: 'vm2'
  /** Torb has its servers checked, and has found out who is down. */
  readonly checked?: boolean
  /** What the article saw in 2016, in the words of `told`; null: it did not try this. */
  readonly seed: string | null
  readonly now: string
  /** Of what Torb warns, since some client or other gets no answer: a part of its only advice; null: it has none. */
  readonly advice: string | null
}

const { lan, edge1, edgeVip, switchVip, vm1, vm3 } = articleAddress
const onEdge = { vip: edgeVip, attach: { routers: ['edge1'] } }
const answeredTo = (...logged: readonly string[]): string => `vm1 and vm2 log ${logged.join(' and ')}`

const pastGateway =
  'gateway router edge1 balances for clients on switch inside too, but their answers go past it'
const serversOnly =
  'attached only to switch dmz, where its backends are, so clients on switches inside and outside get no answer'

/** Every case of the article, in its order. */
export const articleCases: readonly ArticleCase[] = [
  {
    name: 'run 1: a virtual address on the gateway router, asked from outside',
    from: 'lan',
    service: onEdge,
    snat: true,
    seed: answeredTo(lan),
    now: answeredTo(lan),
    advice: null,
  },
  {
    name: 'run 1 with one web server stopped and no health check, asked from outside',
    from: 'lan',
    service: onEdge,
    snat: true,
    stopped: 'vm2',
    seed: `vm1 logs ${lan}; others: refused`,
    now: `vm1 logs ${lan}; others: refused`,
    advice: null,
  },
  {
    name: 'run 1 with one web server stopped, and a health check',
    from: 'lan',
    service: onEdge,
    snat: true,
    stopped: 'vm2',
    checked: true,
    seed: null,
    now: `vm1 logs ${lan}`,
    advice: null,
  },
  {
    name: "run 1 asked from inside, with the article's own SNAT rule",
    from: 'vm3',
    service: onEdge,
    snat: true,
    seed: answeredTo(edge1),
    now: answeredTo(edge1),
    advice: null,
  },
  {
    name: 'run 1 asked from inside, bare: the servers answer past the router',
    from: 'vm3',
    service: onEdge,
    seed: null,
    now: 'hangs',
    advice: pastGateway,
  },
  {
    name: 'run 1 asked from inside, with lb_force_snat_ip on the router',
    from: 'vm3',
    service: { ...onEdge, forceSnat: edge1 },
    seed: null,
    now: answeredTo(edge1),
    advice: null,
  },
  {
    name: "run 2: a virtual address on the client's switch",
    from: 'vm3',
    service: { vip: switchVip, attach: { switches: ['inside'] } },
    seed: answeredTo(vm3),
    now: answeredTo(vm3),
    advice: null,
  },
  {
    name: "run 3: a virtual address on the servers' switch only, asked from another switch",
    from: 'vm3',
    service: { vip: switchVip, attach: { switches: ['dmz'] } },
    seed: 'hangs',
    now: 'hangs',
    advice: serversOnly,
  },
  {
    name: "run 3: a virtual address on the servers' switch only, asked by a server",
    from: 'vm1',
    service: { vip: switchVip, attach: { switches: ['dmz'] } },
    seed: 'hangs',
    // A server that chose itself sees the virtual address as its client.
    now: answeredTo(vm1, switchVip),
    advice: serversOnly,
  },
]
