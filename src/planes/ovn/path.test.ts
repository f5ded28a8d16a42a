import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainDestination, plainService } from '../plain.ts'
import { adviceFor } from './advice.ts'
import { explainFlow } from './explain.ts'
import { answering, pathTo, placesOf, routeOf, type Path } from './path.ts'
import { Topology } from './topology.ts'
import { article, Layout } from './topologyRig.ts'

function way(layout: Layout, from: string, to: string): Path {
  const topology = new Topology(layout)
  const [place] = placesOf(topology, from)
  return pathTo(topology, place ?? expect.unreachable(`${from} is somewhere`), to)
}

const names = ({ hops }: Path): string => hops.map(({ row }) => row.name).join(' ')

const faceToFace = (): Layout =>
  new Layout()
    .switch('a')
    .switch('b')
    .router('ra')
    .router('rb')
    .join('ra', 'a', ['10.1.0.1/24'])
    .join('rb', 'b', ['10.2.0.1/24'])
    .peers(['ra', ['10.9.0.1/30']], ['rb', ['10.9.0.2/30']])
    .port('a', 'pa', ['02:00:00:00:00:01 10.1.0.10'])
    .port('b', 'pb', ['02:00:00:00:00:02 10.2.0.10'])
    .route('ra', '10.2.0.0/24', '10.9.0.2')
    .route('rb', '10.1.0.0/16', '10.9.0.1')

describe('the way of a packet', () => {
  it.each<[string, () => Layout, string, string, string, Path['end']['kind']]>([
    ['on one switch', article, '172.16.255.194', '172.16.255.195', 'inside', 'port'],
    ['by a router', article, '172.16.255.194', '172.16.255.130', 'inside tenant1 dmz', 'port'],
    [
      'to the LAN',
      article,
      '172.16.255.194',
      '10.127.0.140',
      'inside tenant1 transit edge1 outside',
      'outside',
    ],
    ['from the LAN', article, '10.127.0.140', '172.16.255.130', 'outside edge1 transit tenant1 dmz', 'port'],
    ['to a router', article, '172.16.255.194', '172.16.255.1', 'inside tenant1 transit edge1', 'router'],
    ['to nobody', article, '172.16.255.194', '172.16.255.140', 'inside tenant1 dmz', 'unanswered'],
    ['without route', article, '172.16.255.194', '192.0.2.1', 'inside tenant1 transit edge1', 'no-route'],
    ['between routers face to face', faceToFace, '10.1.0.10', '10.2.0.10', 'a ra rb b', 'port'],
    [
      'that comes back',
      () => faceToFace().route('ra', '10.1.7.0/24', '10.9.0.2'),
      '10.2.0.10',
      '10.1.7.1',
      '',
      'loop',
    ],
  ])('%s', (_, layout, from, to, passes, end) => {
    const path = way(layout(), from, to)
    expect(path.end.kind).toBe(end)
    if (end !== 'loop') expect(names(path)).toBe(passes)
  })

  it.each<[string, (layout: Layout) => Layout, string | null]>([
    [
      'the longest prefix',
      (l) =>
        l.route('tenant1', '10.5.0.0/16', '172.16.255.1').route('tenant1', '10.5.1.0/24', '172.16.255.130'),
      '10.5.1.0/24 via 172.16.255.130',
    ],
    [
      'whatever the order',
      (l) =>
        l.route('tenant1', '10.5.1.0/24', '172.16.255.130').route('tenant1', '10.5.0.0/16', '172.16.255.1'),
      '10.5.1.0/24 via 172.16.255.130',
    ],
    ['by default', (l) => l, '0.0.0.0/0 via 172.16.255.1'],
    ['discarded', (l) => l.route('tenant1', '10.5.1.0/24', 'discard'), null],
    [
      'to no network of its own',
      (l) => l.route('tenant1', '10.5.1.0/24', '192.0.2.1'),
      '0.0.0.0/0 via 172.16.255.1',
    ],
  ])('takes a route: %s', (_, change, text) => {
    const topology = new Topology(change(article()))
    const [router] = topology.routersNamed('tenant1')
    const route = routeOf(topology, router ?? expect.unreachable('tenant1 is there'), '10.5.1.9')
    expect(route?.text ?? null).toBe(text)
  })

  it('takes no route by source', () => {
    const layout = article()
    const uuid = layout.insert('Logical_Router_Static_Route', {
      ip_prefix: '10.5.1.0/24',
      nexthop: '172.16.255.130',
      policy: 'src-ip',
    })
    layout.update('Logical_Router', 'tenant1', { static_routes: [uuid] })
    const topology = new Topology(layout)
    const [router] = topology.routersNamed('tenant1')
    expect(routeOf(topology, router ?? expect.unreachable('tenant1 is there'), '10.5.1.9')).toBe(null)
  })

  /** Two routers on a switch; what `r` has is in no network. */
  function besideAddRoute({
    gateways = [],
    chassis,
    northd = '23.03.1-20.27.0-70.6',
    beside = { chassis: 'hv1' },
    vip = '10.99.0.1',
    responder = 'reachable',
  }: {
    readonly gateways?: readonly string[]
    readonly chassis?: string
    readonly northd?: string
    readonly beside?: Readonly<Record<string, string>>
    readonly vip?: string
    readonly responder?: string
  }): Topology {
    const layout = new Layout()
      .switch('public')
      .router('r', chassis === undefined ? {} : { chassis })
      .router('neighbour', beside)
      .join('r', 'public', ['10.3.0.1/24', 'fd03::1/64'], gateways)
      .join('neighbour', 'public', ['10.3.0.2/24', 'fd03::2/64'])
      .switch('clients')
      .join('neighbour', 'clients', ['10.4.0.1/24'])
    layout.insert('NB_Global', { options: new Map([['northd_internal_version', northd]]) })
    const options = new Map([
      ['add_route', 'true'],
      ['neighbor_responder', responder],
    ])
    layout.balancer(
      'web',
      { [vip.includes(':') ? `[${vip}]:80` : `${vip}:80`]: '' },
      { routers: ['r'] },
      { options },
    )
    return new Topology(layout)
  }

  it.each<[string, Parameters<typeof besideAddRoute>[0], string | null]>([
    ['a gateway port', { gateways: ['hv1'] }, 'add_route of r'],
    ['a plain router', {}, null],
    ['a plain router of OVN 25.03', { northd: '25.03.0-20.41.0-77.6' }, null],
    ['a gateway router', { chassis: 'hv1' }, null],
    ['a gateway router of OVN 23.09', { chassis: 'hv1', northd: '23.09.3-1-2' }, null],
    ['a gateway router of OVN 24.03', { chassis: 'hv1', northd: '24.03.2-1-2' }, 'add_route of r'],
    ['a gateway router of OVN 25.03', { chassis: 'hv1', northd: '25.03.0-20.41.0-77.6' }, 'add_route of r'],
    ['IPv6', { gateways: ['hv1'], vip: 'fd99::1' }, null],
  ])('takes what add_route of its neighbour gives: %s', (_, wish, expected) => {
    const topology = besideAddRoute(wish)
    const [router] = topology.routersNamed('neighbour')
    const route = routeOf(topology, router ?? expect.unreachable('it is there'), wish.vip ?? '10.99.0.1')
    expect(route?.text ?? null).toBe(expected)
  })

  it.each<[string, Parameters<typeof besideAddRoute>[0], string]>([
    ['a gateway router knows the MAC address', {}, 'stopped'],
    [
      'one that is not to know it asks',
      { beside: { chassis: 'hv1', dynamic_neigh_routers: 'true' } },
      'unanswered',
    ],
    ['a plain router asks', { beside: {} }, 'unanswered'],
    ['a plain router asks, and is answered', { beside: {}, responder: 'all' }, 'stopped'],
  ])('goes by add_route to the neighbour: %s', (_, wish, expected) => {
    const topology = besideAddRoute({ chassis: 'hv1', northd: '25.03.0-20.41.0-77.6', ...wish })
    const [row] = topology.switchesNamed('clients')
    const place = { row: row ?? expect.unreachable('it is there'), from: 'endpoint' } as const
    expect(pathTo(topology, place, '10.99.0.1', (hop) => hop.row.name === 'r').end.kind).toBe(expected)
  })

  it.each<[string, (layout: Layout) => unknown, string, string | null]>([
    ['its own address', () => undefined, '10.127.0.129', 'edge1'],
    [
      "a NAT rule's",
      (l) => l.nat('edge1', 'dnat_and_snat', '10.127.0.200', '172.16.255.194'),
      '10.127.0.200',
      'edge1',
    ],
    [
      'a load balancer in its network',
      (l) => l.balancer('b', { '10.127.0.200:1': '' }, { routers: ['edge1'] }),
      '10.127.0.200',
      'edge1',
    ],
    [
      'a load balancer in no network',
      (l) => l.balancer('b', { '10.9.9.9:1': '' }, { routers: ['edge1'] }),
      '10.9.9.9',
      null,
    ],
    [
      'a load balancer in no network, responding to all',
      (l) =>
        l.balancer(
          'b',
          { '10.9.9.9:1': '' },
          { routers: ['edge1'] },
          { options: new Map([['neighbor_responder', 'all']]) },
        ),
      '10.9.9.9',
      'edge1',
    ],
    [
      'a load balancer that responds to none',
      (l) =>
        l.balancer(
          'b',
          { '10.127.0.200:1': '' },
          { routers: ['edge1'] },
          { options: new Map([['neighbor_responder', 'none']]) },
        ),
      '10.127.0.200',
      null,
    ],
    [
      'a load balancer of a switch',
      (l) => l.balancer('b', { '10.127.0.200:1': '' }, { switches: ['outside'] }),
      '10.127.0.200',
      null,
    ],
  ])('a router answers ARP for %s', (_, change, address, router) => {
    const layout = article()
    change(layout)
    const topology = new Topology(layout)
    const [outside] = topology.switchesNamed('outside')
    const link = answering(topology, outside ?? expect.unreachable('outside is there'), address)
    expect(link?.router.name ?? null).toBe(router)
  })

  it('ends, and so do advice and explain, whatever the network', async () => {
    const names = fc.constantFrom('a', 'b', 'c')
    const routers = fc.constantFrom('x', 'y', 'z')
    const address = fc
      .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 5 }))
      .map(([net, host]) => `10.${net}.0.${host}`)
    const prefix = fc.constantFrom('0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/24', '10.2.0.0/16', 'nonsense')
    const step = fc.oneof(
      fc.tuple(routers, names, address, fc.subarray(['hv1', 'hv2'])).map(
        ([router, of, own, gateways]) =>
          (layout: Layout) =>
            layout.join(router, of, [`${own}/24`], gateways),
      ),
      fc.tuple(routers, prefix, fc.oneof(address, fc.constant('discard'))).map(
        ([router, to, next]) =>
          (layout: Layout) =>
            layout.route(router, to, next),
      ),
      fc.tuple(names, address).map(
        ([of, own]) =>
          (layout: Layout) =>
            layout.port(of, `p-${own}`, [`02:00:00:00:00:01 ${own}`]),
      ),
      names.map((of) => (layout: Layout) => layout.localnet(of)),
      fc.tuple(routers, routers).map(
        ([one, other]) =>
          (layout: Layout) =>
            layout.peers([one, ['10.9.0.1/30']], [other, ['10.9.0.2/30']]),
      ),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 14 }),
        fc.subarray(['a', 'b', 'c']),
        fc.subarray(['x', 'y', 'z']),
        fc.tuple(address, address, fc.array(address, { maxLength: 3 })),
        async (steps, switches, attached, [vip, source, backends]) => {
          const layout = new Layout()
            .switch('a')
            .switch('b')
            .switch('c')
            .router('x')
            .router('y', { chassis: 'hv1' })
            .router('z')
          for (const change of steps) change(layout)
          const uuid = layout.balancer('web', { [`${vip}:80`]: '' }, { switches, routers: attached })
          const topology = new Topology(layout)
          const spec = plainService({
            address: vip,
            attach: { switches, routers: attached, groups: [] },
            destinations: [...new Set(backends)].map((one) => plainDestination(one)),
          })
          for (const sentence of adviceFor(spec, topology)) expect(sentence).toMatch(/^[^.].*[^.]$/)
          const { steps: said } = await explainFlow(
            { protocol: 'tcp', source, sourcePort: 1, destination: vip, destinationPort: 80 },
            {
              services: [{ spec, row: topology.balancer(uuid) }],
              topology,
              owner: 'torb',
              chassisOf: () => null,
              health: () => null,
              trace: null,
            },
          )
          for (const sentence of said) expect(sentence).toMatch(/^[A-Z].*\.$/)
        },
      ),
    )
  })
})
