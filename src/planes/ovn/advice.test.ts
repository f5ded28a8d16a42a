import { describe, expect, it } from 'vitest'
import type { OvnOptions } from '../../model/service.ts'
import { plainDestination, plainService } from '../plain.ts'
import type { VirtualService } from '../plane.ts'
import { adviceFor } from './advice.ts'
import { Topology } from './topology.ts'
import { article, Layout } from './topologyRig.ts'
import { vipText } from './vips.ts'

interface Wish {
  readonly vip: string
  readonly switches?: readonly string[]
  readonly routers?: readonly string[]
  readonly groups?: readonly string[]
  readonly ovn?: OvnOptions
  readonly backends?: readonly string[]
}

const service = ({ vip, switches = [], routers = [], groups = [], ovn, backends }: Wish): VirtualService =>
  plainService({
    address: vip,
    family: vip.includes(':') ? 6 : 4,
    attach: { switches, routers, groups },
    ovn: ovn ?? null,
    destinations: (backends ?? ['172.16.255.130', '172.16.255.131']).map((address) =>
      plainDestination(address),
    ),
  })

/** What is said, of a service that is there as it is wished for. */
function advised(layout: Layout, wish: Wish): readonly string[] {
  const spec = service(wish)
  const { switches = [], routers = [], groups = [], ovn } = wish
  const bare = new Topology(layout)
  layout.balancer(
    spec.id,
    { [vipText({ address: spec.address, port: 80 })]: '' },
    {
      switches: switches.filter((name) => bare.switchesNamed(name).length > 0),
      routers: routers.filter((name) => bare.routersNamed(name).length > 0),
      groups: groups.filter((name) => bare.groupNamed(name) !== null),
    },
    {
      options: new Map([
        ...(ovn?.add_route === true ? ([['add_route', 'true']] as const) : []),
        ...(ovn?.neighbor_responder === undefined
          ? []
          : ([['neighbor_responder', ovn.neighbor_responder]] as const)),
      ]),
    },
  )
  return adviceFor(spec, new Topology(layout))
}

const onEdge = { vip: '10.127.0.254', routers: ['edge1'] } as const
const switchVip = '172.16.255.62'

/** A gateway router of servers, and the plain one of their clients beside it. */
const gatewayBeside = (northd: string): Layout => {
  const layout = new Layout()
    .switch('far')
    .switch('join')
    .router('r', { chassis: 'hv1' })
    .router('other')
    .join('r', 'far', ['10.50.0.1/24'])
    .join('r', 'join', ['10.51.0.1/24'])
    .join('other', 'join', ['10.51.0.2/24'])
    .port('far', 'web', ['02:00:00:00:00:50 10.50.0.2'])
  layout.insert('NB_Global', { options: new Map([['northd_internal_version', northd]]) })
  return layout
}

/** Clients and servers on switches of one distributed router, which reaches the LAN by a gateway port. */
const withGatewayPort = (...chassis: readonly string[]): Layout =>
  new Layout()
    .switch('inside')
    .switch('dmz')
    .switch('public')
    .router('r')
    .join('r', 'dmz', ['172.16.255.129/26'])
    .join('r', 'public', ['10.3.0.1/24'], chassis.length === 0 ? ['hv1'] : chassis)
    .localnet('public')
    .port('dmz', 'vm1', ['02:00:00:00:00:01 172.16.255.130'])
    .port('dmz', 'vm2', ['02:00:00:00:00:02 172.16.255.131'])

const withInside = (layout: Layout): Layout =>
  layout.join('r', 'inside', ['10.2.0.1/24']).port('inside', 'in1', ['02:00:00:00:00:03 10.2.0.11'])

/** Two gateway routers to two LANs, the servers behind both. */
const twoEdges = (options: Readonly<Record<string, string>> = {}): Layout =>
  article(options)
    .switch('outside2')
    .router('edge2', { chassis: 'hv2', ...options })
    .join('edge2', 'transit', ['172.16.255.3/30'])
    .join('edge2', 'outside2', ['10.128.0.129/25'])
    .localnet('outside2')
    .route('edge2', '172.16.255.128/25', '172.16.255.2')
    .remove('Logical_Switch_Port', 'vm3')
    .remove('Logical_Switch_Port', 'vm4')

describe('advice', () => {
  it.each<[string, () => Layout, Wish, string]>([
    [
      'the article: on the gateway router, and clients inside',
      article,
      onEdge,
      'gateway router edge1 balances for clients on switch inside too, but their answers go past it and they get none: set "ovn": {"force_snat": "router_ip"} (backends then see edge1 instead of the client), or attach service web to their switch as well',
    ],
    [
      "the article: on the servers' switch only",
      article,
      { vip: switchVip, switches: ['dmz'] },
      "service web is attached only to switch dmz, where its backends are, so clients on switches inside and outside get no answer: what comes in by a router's port is not balanced there; attach it to their switches, or to a gateway router on their way",
    ],
    [
      'skip_snat takes force_snat back',
      () => article({ lb_force_snat_ip: 'router_ip' }),
      { ...onEdge, ovn: { skip_snat: true } },
      'gateway router edge1 balances for clients on switch inside too',
    ],
    [
      "a SNAT rule that is not the clients'",
      () => article().nat('edge1', 'snat', '10.127.0.129', '172.16.255.128/26'),
      onEdge,
      'gateway router edge1 balances for clients on switch inside too',
    ],
    [
      'clients beside the servers, whose gateway is the gateway router',
      () =>
        new Layout()
          .switch('s')
          .router('g', { chassis: 'hv1' })
          .join('g', 's', ['172.16.255.129/26'])
          .port('s', 'vm1', ['02:00:00:00:00:01 172.16.255.130'])
          .port('s', 'vm2', ['02:00:00:00:00:02 172.16.255.131'])
          .port('s', 'client', ['02:00:00:00:00:03 172.16.255.140']),
      { vip: '10.9.9.9', routers: ['g'] },
      'gateway router g balances for clients on switch s too',
    ],
    [
      'attached nowhere',
      article,
      { vip: switchVip },
      'service web is attached nowhere and has no effect: name its clients\' switches or a router on their way, such as "attach": {"switches": ["NAME"]}',
    ],
    [
      'a switch that is gone',
      article,
      { vip: switchVip, switches: ['inside', 'lobby'] },
      'there is no switch lobby, so service web has no effect there: create it, or take it out of "attach"',
    ],
    ['a router that is gone', article, { ...onEdge, routers: ['edge9'] }, 'there is no router edge9'],
    [
      'a group that is gone',
      article,
      { vip: switchVip, switches: ['inside'], groups: ['none'] },
      'there is no group none',
    ],
    [
      'a group of nobody',
      () => article().group('clients'),
      { vip: switchVip, groups: ['clients'] },
      'no switch and no router refers to group clients, so service web has no effect by it: add it to one ("ovn-nbctl add Logical_Switch NAME load_balancer_group Load_Balancer_Group/',
    ],
    [
      "an address in the clients' own network",
      article,
      { vip: '172.16.255.250', switches: ['inside'] },
      '172.16.255.250 lies in the network of switch inside and nobody there answers ARP for it, so its clients get no answer: take an address outside of their network, or set options:arp_proxy=172.16.255.250 on a port of inside towards a router',
    ],
    [
      "an address in the clients' own network, whose router may have it too",
      () => withInside(withGatewayPort()),
      { vip: '10.2.0.200', switches: ['inside'] },
      'or attach the service to router r too',
    ],
    [
      "an IPv6 address in the clients' own network",
      sixes,
      { vip: 'fd00:2::99', switches: ['inside'], backends: ['fd00:1::10'] },
      'fd00:2::99 lies in the network of switch inside and nobody there answers ND for it, so its clients get no answer: take an address outside of their network',
    ],
    [
      'neighbor_responder none',
      () => withInside(withGatewayPort()),
      { vip: '10.2.0.200', switches: ['inside'], routers: ['r'], ovn: { neighbor_responder: 'none' } },
      '10.2.0.200 lies in the network of switch inside and nobody there answers ARP for it',
    ],
    [
      'a switch without router',
      () => new Layout().switch('alone').port('alone', 'vm1', ['02:00:00:00:00:01 10.0.0.1']),
      { vip: '10.9.9.9', switches: ['alone'], backends: ['10.0.0.1'] },
      'switch alone has no router, so its clients have nobody to send packets for 10.9.9.9 to: connect it to one, whose port is their gateway',
    ],
    [
      'a plain distributed router',
      article,
      { vip: switchVip, routers: ['tenant1'] },
      "router tenant1 is distributed and has no gateway port, where OVN balances but never translates the answers back, so clients of service web behind it get none: attach it to the clients' switches, or to a gateway router (options:chassis)",
    ],
    [
      'a router with a gateway port, and clients inside',
      () => withInside(withGatewayPort()),
      { vip: '10.3.0.200', routers: ['r'] },
      'router r balances only what passes its gateway port, so clients on switch inside get no answer from service web: attach it to their switch as well',
    ],
    [
      "a router with a gateway port, and clients on the servers' switch",
      () => withGatewayPort().port('dmz', 'client', ['02:00:00:00:00:09 172.16.255.140']),
      { vip: '10.3.0.200', routers: ['r'] },
      'so clients on switch dmz get no answer',
    ],
    [
      'gateway ports on several chassis',
      () => withGatewayPort().switch('public2').join('r', 'public2', ['10.4.0.1/24'], ['hv2', 'hv1']),
      { vip: '10.3.0.200', routers: ['r'] },
      "the gateway ports of router r are on different chassis (r-public on hv1, r-public2 on hv2), and only one of them balances service web: give all the same chassis, or attach it to the clients' switches",
    ],
    [
      'force_snat on a router that is no gateway router',
      withGatewayPort,
      { vip: '10.3.0.200', routers: ['r'], ovn: { force_snat: '10.3.0.1' } },
      'force_snat works on gateway routers (options:chassis), and r is none: leave it out, since an address there leaves clients without answer',
    ],
    [
      'several gateway routers',
      twoEdges,
      { ...onEdge, routers: ['edge1', 'edge2'] },
      'service web is on several gateway routers, and answers to what routers edge1 and edge2 balanced may leave by another one and never be translated back: set "ovn": {"force_snat": "router_ip"}',
    ],
    [
      'an address in no network, to which nobody has a route',
      () =>
        article()
          .router('inner', { chassis: 'hv1' })
          .switch('far')
          .join('inner', 'far', ['10.50.0.1/24'])
          .join('inner', 'transit', ['172.16.255.3/29'])
          .port('far', 'web', ['02:00:00:00:00:50 10.50.0.2']),
      { vip: '10.99.0.1', routers: ['inner'], backends: ['10.50.0.2'] },
      '10.99.0.1 is in no network of router inner, and routers tenant1 and edge1 have no route to it, so nobody gets there: add a route ("ovn-nbctl lr-route-add tenant1 10.99.0.1 172.16.255.3")',
    ],
    [
      'the same of a router with a gateway port, face to face with another',
      () =>
        new Layout()
          .switch('far')
          .switch('up')
          .router('r')
          .router('other', { chassis: 'hv1' })
          .join('r', 'far', ['10.50.0.1/24'])
          .join('r', 'up', ['10.51.0.1/24'], ['hv1'])
          .peers(['r', ['10.52.0.1/30']], ['other', ['10.52.0.2/30']])
          .port('far', 'web', ['02:00:00:00:00:50 10.50.0.2']),
      { vip: '10.99.0.1', routers: ['r'], backends: ['10.50.0.2'] },
      '10.99.0.1 is in no network of router r, and router other has no route to it, so nobody gets there: add a route ("ovn-nbctl lr-route-add other 10.99.0.1 10.52.0.1")',
    ],
    [
      'the same of a router whose gateway port is beside another router',
      () =>
        new Layout()
          .switch('far')
          .switch('join')
          .router('r')
          .router('other', { chassis: 'hv1' })
          .join('r', 'far', ['10.50.0.1/24'])
          .join('r', 'join', ['10.51.0.1/24'], ['hv1'])
          .join('other', 'join', ['10.51.0.2/24'])
          .port('far', 'web', ['02:00:00:00:00:50 10.50.0.2']),
      { vip: '10.99.0.1', routers: ['r'], backends: ['10.50.0.2'] },
      'so nobody gets there: set "ovn": {"add_route": true}, or add a route ("ovn-nbctl lr-route-add other 10.99.0.1 10.51.0.1")',
    ],
    [
      'a gateway router beside a plain one, of OVN 24.03',
      () => gatewayBeside('24.03.2-20.33.0-72.6'),
      { vip: '10.99.0.1', routers: ['r'], backends: ['10.50.0.2'] },
      'so nobody gets there: set "ovn": {"add_route": true, "neighbor_responder": "all"}, or add a route ("ovn-nbctl lr-route-add other 10.99.0.1 10.51.0.1")',
    ],
    [
      'the same of OVN 23.03',
      () => gatewayBeside('23.03.1-20.27.0-70.6'),
      { vip: '10.99.0.1', routers: ['r'], backends: ['10.50.0.2'], ovn: { add_route: true } },
      'so nobody gets there: add a route ("ovn-nbctl lr-route-add other 10.99.0.1 10.51.0.1")',
    ],
    [
      'add_route, and nobody answers ARP',
      () => gatewayBeside('24.03.2-20.33.0-72.6'),
      { vip: '10.99.0.1', routers: ['r'], backends: ['10.50.0.2'], ovn: { add_route: true } },
      'add_route makes router other ask for 10.99.0.1 by ARP, and router r does not answer: set "ovn": {"add_route": true, "neighbor_responder": "all"}, or leave add_route out',
    ],
    [
      'a backend that no port has',
      article,
      { vip: switchVip, switches: ['inside'], backends: ['172.16.255.130', '172.16.255.139'] },
      "no logical port has 172.16.255.139, the address of backend 172.16.255.139:80: correct it, or give it to the backend's port (\"ovn-nbctl lsp-set-addresses PORT 'MAC 172.16.255.139'\")",
    ],
    [
      'a backend whose port is disabled',
      () => article().update('Logical_Switch_Port', 'vm1', { enabled: false }),
      { vip: switchVip, switches: ['inside'] },
      'logical port vm1 of backend 172.16.255.130:80 is disabled: enable it ("ovn-nbctl lsp-set-enabled vm1 enabled")',
    ],
    [
      'hairpin_snat_ip on routers only',
      () => article({ lb_force_snat_ip: 'router_ip' }),
      { ...onEdge, ovn: { hairpin_snat_ip: '10.127.0.253' } },
      'hairpin_snat_ip is for switches, and service web is on routers only: leave it out, and set "ovn": {"force_snat": "router_ip"} where backends are clients too',
    ],
  ])('warns: %s', (_, layout, wish, sentence) => {
    const said = advised(layout(), wish)
    expect(said).toHaveLength(1)
    expect(said[0]).toContain(sentence)
  })

  it.each<[string, () => Layout, Wish]>([
    ["the article: on the clients' switch", article, { vip: switchVip, switches: ['inside'] }],
    ['the article with lb_force_snat_ip', article, { ...onEdge, ovn: { force_snat: 'router_ip' } }],
    [
      'the article with lb_force_snat_ip set by hand',
      () => article({ lb_force_snat_ip: '10.127.0.129' }),
      onEdge,
    ],
    [
      'the article with its own SNAT rule',
      () => article().nat('edge1', 'snat', '10.127.0.129', '172.16.255.128/25'),
      onEdge,
    ],
    [
      'on the gateway router and on the switches of clients inside',
      article,
      { ...onEdge, switches: ['inside'] },
    ],
    [
      'on the gateway router, and nobody inside but servers',
      () => article().remove('Logical_Switch_Port', 'vm3').remove('Logical_Switch_Port', 'vm4'),
      onEdge,
    ],
    [
      'clients inside that have no way to the gateway router',
      () => article().update('Logical_Router', 'tenant1', { static_routes: [] }),
      onEdge,
    ],
    [
      'add_route, and ARP is answered',
      () => gatewayBeside('24.03.2-20.33.0-72.6'),
      {
        vip: '10.99.0.1',
        routers: ['r'],
        backends: ['10.50.0.2'],
        ovn: { add_route: true, neighbor_responder: 'all' },
      },
    ],
    ['on all switches', article, { vip: switchVip, switches: ['inside', 'dmz', 'outside'] }],
    ["on servers' and clients' switches", article, { vip: switchVip, switches: ['inside', 'dmz'] }],
    [
      'on a switch of servers and clients that has nobody beyond its router',
      () =>
        new Layout()
          .switch('s')
          .router('r')
          .join('r', 's', ['172.16.255.129/26'])
          .port('s', 'vm1', ['02:00:00:00:00:01 172.16.255.130'])
          .port('s', 'vm2', ['02:00:00:00:00:02 172.16.255.131'])
          .port('s', 'client', ['02:00:00:00:00:03 172.16.255.140']),
      { vip: '10.9.9.9', switches: ['s'] },
    ],
    [
      "by a group of clients' switches",
      () => article().group('clients', { switches: ['inside'] }),
      { vip: switchVip, groups: ['clients'] },
    ],
    [
      'on a router with a gateway port, clients outside',
      withGatewayPort,
      { vip: '10.3.0.200', routers: ['r'] },
    ],
    [
      'on a router with a gateway port and on the switch of clients inside',
      () => withInside(withGatewayPort()),
      { vip: '10.3.0.200', routers: ['r'], switches: ['inside'] },
    ],
    [
      "an address in the clients' network that their router has too",
      () => withInside(withGatewayPort()),
      { vip: '10.2.0.200', switches: ['inside'], routers: ['r'] },
    ],
    [
      "an address in the clients' network that a port answers for by proxy",
      () =>
        new Layout()
          .switch('s')
          .router('r')
          .join('r', 's', ['172.16.255.129/26'], [], { arp_proxy: '172.16.255.180/32 169.254.1.1' })
          .port('s', 'vm1', ['02:00:00:00:00:01 172.16.255.130'])
          .port('s', 'vm2', ['02:00:00:00:00:02 172.16.255.131']),
      { vip: '172.16.255.180', switches: ['s'] },
    ],
    [
      'gateway ports on one chassis',
      () => withGatewayPort().switch('public2').join('r', 'public2', ['10.4.0.1/24'], ['hv1', 'hv2']),
      { vip: '10.3.0.200', routers: ['r'] },
    ],
    [
      'several gateway routers with lb_force_snat_ip',
      () => twoEdges({ lb_force_snat_ip: 'router_ip' }),
      { ...onEdge, routers: ['edge1', 'edge2'] },
    ],
    [
      'an address in no network to which the neighbour has a route',
      () =>
        article({ lb_force_snat_ip: 'router_ip' })
          .remove('Logical_Switch_Port', 'outside-localnet')
          .route('tenant1', '10.99.0.0/24', '172.16.255.1'),
      { vip: '10.99.0.1', routers: ['edge1'] },
    ],
    [
      'a backend outside of the logical network',
      article,
      { vip: switchVip, switches: ['inside'], backends: ['10.127.0.140', '192.0.2.7'] },
    ],
    [
      'a backend behind a port of any address',
      () => article().port('dmz', 'trunk', ['unknown']),
      { vip: switchVip, switches: ['inside'], backends: ['172.16.255.150'] },
    ],
    ['without backends yet', article, { vip: switchVip, switches: ['inside'], backends: [] }],
    ['addresses that a stranger has too', () => tenants(), { vip: '10.9.9.9', switches: ['inside'] }],
    [
      'a switch without router on which nobody is yet',
      () => article().switch('new'),
      { vip: switchVip, switches: ['inside', 'new'] },
    ],
    ['another family', sixes, { vip: 'fd00:9::1', switches: ['inside'], backends: ['fd00:1::10'] }],
  ])('says nothing: %s', (_, layout, wish) => {
    expect(advised(layout(), wish)).toEqual([])
  })

  it('names some switches of many', () => {
    const layout = article()
    for (const name of ['a', 'b', 'c']) {
      const third = `10.20.${name.charCodeAt(0)}`
      layout
        .switch(name)
        .join('tenant1', name, [`${third}.1/24`])
        .port(name, `client-${name}`, [`02:00:00:00:00:0${name} ${third}.2`])
    }
    expect(advised(layout, { vip: switchVip, switches: ['dmz'] })[0]).toContain(
      'clients on switches inside, a, b and others get',
    )
  })

  it('looks at a switch of many ports and at many switches without looking at all', () => {
    const layout = new Layout().router('r')
    for (let of = 0; of < 300; of++) {
      layout
        .switch(`s${of}`)
        .join('r', `s${of}`, [`10.${of >> 8}.${of & 255}.1/24`])
        .port(`s${of}`, `p${of}`, [`02:00:00:00:00:01 10.${of >> 8}.${of & 255}.2`])
    }
    const all = Array.from({ length: 300 }, (_, of) => `s${of}`)
    expect(advised(layout, { vip: '10.99.0.1', switches: all, backends: ['10.0.0.2'] })).toEqual([])
    const said = advised(layout, { vip: '10.99.0.1', switches: ['s0'], backends: ['10.0.0.2'] })
    expect(said).toHaveLength(1)
    expect(said[0]).toContain('clients on switches s1, s2, s3 and others get no answer')
  })
})

/** Of another tenant, with the same addresses: servers and clients on one switch. */
function tenants(): Layout {
  return article()
    .switch('theirs')
    .router('other')
    .join('other', 'theirs', ['172.16.255.129/25'])
    .port('theirs', 'their-vm1', ['02:00:00:00:00:01 172.16.255.130'])
    .port('theirs', 'their-vm3', ['02:00:00:00:00:03 172.16.255.194'])
}

function sixes(): Layout {
  return new Layout()
    .switch('dmz')
    .switch('inside')
    .router('r')
    .join('r', 'dmz', ['fd00:1::1/64'])
    .join('r', 'inside', ['fd00:2::1/64'])
    .port('dmz', 'vm1', ['02:00:00:00:00:01 fd00:1::10'])
    .port('inside', 'vm3', ['02:00:00:00:00:02 fd00:2::10'])
}
