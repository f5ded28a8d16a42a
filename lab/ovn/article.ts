import type { Report } from '../client.ts'
import { physicalNetwork, startOvn, type OvnLab, type OvnOptions, type OvnPort } from './ovn.ts'

/** Addresses of "The OVN load balancer" (2016); the servers are the backends of all of its load balancers. */
export const articleAddress = {
  vm1: '172.16.255.130',
  vm2: '172.16.255.131',
  vm3: '172.16.255.194',
  vm4: '172.16.255.195',
  /** The LAN host outside: the article's ubuntu1. */
  lan: '10.127.0.130',
  edge1: '10.127.0.129',
  /** Run 1: on the gateway router, in the network outside. */
  edgeVip: '10.127.0.254',
  /** Runs 2 and 3: on a logical switch, in no network. */
  switchVip: '172.16.255.62',
} as const

export const articlePort = 8000
export const servers = ['vm1', 'vm2'] as const
export const clients = ['vm3', 'vm4', 'lan'] as const
type Role = (typeof servers)[number] | (typeof clients)[number]

/** The article's network: switches, routers, two web servers, two clients inside and one outside. */
export interface Article extends Disposable {
  readonly lab: OvnLab
  readonly hosts: Readonly<Record<Role, OvnPort>>
  /** The article's own NAT rule on edge1, which is there or not. */
  snat(there: boolean): Promise<void>
  /** `count` connections at the same time, each with a question of its own. */
  visit(from: Role, vip: string, count: number): Promise<Report>
  startServer(name: (typeof servers)[number]): Promise<void>
  /** The web server ends; its machine goes on and refuses connections. */
  stopServer(name: (typeof servers)[number]): Promise<void>
}

/** How long a client waits before it calls that hanging: longer than until TCP sends a lost SYN again, after a second. */
const patienceMs = 1800

/** Lays out the article's network without any load balancer, its web servers running. With two chassis both have one server. */
export async function startArticle({ chassis }: OvnOptions): Promise<Article> {
  const lab = await startOvn({ chassis })
  try {
    return await layOutArticle(lab, chassis)
  } catch (error) {
    lab.close()
    throw error
  }
}

async function layOutArticle(lab: OvnLab, last: 1 | 2): Promise<Article> {
  await lab.nbctl(...topology.flatMap((command) => ['--', ...command.split(' ')]))
  const at = (role: Role, prefix: number, gateway: string) => ({
    addresses: [`${articleAddress[role]}/${prefix}`],
    gateways: [gateway],
  })
  const [vm1, vm2, vm3, vm4, lan] = await Promise.all([
    lab.port(1, 'dmz', 'vm1', at('vm1', 26, '172.16.255.129')),
    lab.port(last, 'dmz', 'vm2', at('vm2', 26, '172.16.255.129')),
    lab.port(last, 'inside', 'vm3', at('vm3', 26, '172.16.255.193')),
    lab.port(1, 'inside', 'vm4', at('vm4', 26, '172.16.255.193')),
    lab.host(1, 'lan', at('lan', 25, articleAddress.edge1)),
  ])
  const hosts = { vm1, vm2, vm3, vm4, lan }
  const startServer = async (name: 'vm1' | 'vm2'): Promise<void> => {
    await (await hosts[name].traffic()).listen(name, articleAddress[name], articlePort)
  }
  await Promise.all([...servers.map(startServer), ...clients.map((name) => hosts[name].traffic())])
  await lab.sync()
  return {
    lab,
    hosts,
    startServer,
    async stopServer(name) {
      await (await hosts[name].traffic()).closeServer(name)
    },
    async snat(there) {
      const rule = there
        ? '--may-exist lr-nat-add edge1 snat 10.127.0.129 172.16.255.128/25'
        : 'lr-nat-del edge1'
      await lab.nbctl('--wait=hv', ...rule.split(' '))
    },
    async visit(from, vip, count) {
      const to = { address: vip, port: articlePort }
      const source = [articleAddress[from]]
      return (await hosts[from].traffic()).exchange({
        protocol: 'http',
        from: source,
        to,
        count,
        concurrency: count,
        patienceMs,
      })
    },
    [Symbol.dispose]: () => lab.close(),
  }
}

/** As its author typed it, but for MAC addresses. */
const topology = [
  ...['dmz', 'inside', 'transit', 'outside'].map((name) => `ls-add ${name}`),
  'lr-add tenant1',
  ...link('tenant1', 'dmz', '02:ac:10:ff:01:29', '172.16.255.129/26'),
  ...link('tenant1', 'inside', '02:ac:10:ff:01:93', '172.16.255.193/26'),
  ...link('tenant1', 'transit', '02:ac:10:ff:00:02', '172.16.255.2/30'),
  'lr-route-add tenant1 0.0.0.0/0 172.16.255.1',
  'lr-add edge1',
  'set Logical_Router edge1 options:chassis=hv1',
  ...link('edge1', 'transit', '02:ac:10:ff:00:01', '172.16.255.1/30'),
  ...link('edge1', 'outside', '02:0a:7f:00:01:29', '10.127.0.129/25'),
  'lr-route-add edge1 172.16.255.128/25 172.16.255.2',
  'lsp-add outside outside-localnet',
  'lsp-set-addresses outside-localnet unknown',
  'lsp-set-type outside-localnet localnet',
  `lsp-set-options outside-localnet network_name=${physicalNetwork}`,
]

/** A router's port on a switch, and the switch's on the router. */
function link(router: string, logicalSwitch: string, mac: string, network: string): string[] {
  const [at, back] = [`${router}-${logicalSwitch}`, `${logicalSwitch}-${router}`]
  return [
    `lrp-add ${router} ${at} ${mac} ${network}`,
    `lsp-add ${logicalSwitch} ${back}`,
    `lsp-set-type ${back} router`,
    `lsp-set-addresses ${back} router`,
    `lsp-set-options ${back} router-port=${at}`,
  ]
}

/** What clients met, by the servers' logs: `vm1 and vm2 log 10.127.0.130`, `hangs`, `vm1 logs 10.127.0.130; others: refused`. */
export function told({ answers, failures }: Report): string {
  const listed = (texts: readonly string[]): string => [...new Set(texts)].sort().join(' and ')
  const failed = listed(failures.map(failureText))
  if (answers.length === 0) return failed
  const by = listed(answers.map(({ backend }) => backend))
  const logged = listed(answers.map(({ client }) => client))
  return `${by} ${by.includes(' ') ? 'log' : 'logs'} ${logged}${failed === '' ? '' : `; others: ${failed}`}`
}

/** A connection that failed, in a word. */
export function failureText(failure: string): string {
  if (failure.includes('ECONNREFUSED')) return 'refused'
  return failure.includes('nothing within') ? 'hangs' : failure
}
