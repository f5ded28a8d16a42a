import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { freeAddresses } from './freeAddresses.ts'
import { networkText } from './subnet.ts'
import { portAddresses, type SwitchRow } from './logicalRows.ts'
import { Topology, type Reached } from './topology.ts'
import { article, Layout } from './topologyRig.ts'

const names = (rows: Iterable<{ readonly name?: string }>): string[] => [...rows].map(({ name = '' }) => name)
const places = (reached: readonly Reached[]): string[] =>
  reached.map(
    ({ datapath, group }) => `${datapath.kind} ${datapath.row.name}${group === null ? '' : ` by ${group}`}`,
  )

function named(topology: Topology, name: string): SwitchRow {
  return topology.switchesNamed(name)[0] ?? expect.unreachable(`switch ${name} is there`)
}

describe('topology', () => {
  it("knows the article's network", () => {
    const topology = new Topology(article())
    expect(names(topology.holders('172.16.255.130'))).toEqual(['vm1'])
    expect(names(topology.endpoints(named(topology, 'dmz')))).toEqual(['vm1', 'vm2'])
    expect(topology.links(named(topology, 'transit')).map(({ router }) => router.name)).toEqual([
      'tenant1',
      'edge1',
    ])
    expect(topology.subnets(named(topology, 'transit')).map(networkText)).toEqual(['172.16.255.0/30'])
    expect(topology.leadsOutside(named(topology, 'outside'))).toBe(true)
    expect(topology.leadsOutside(named(topology, 'dmz'))).toBe(false)
    expect(names(topology.routerPortsWith('172.16.255.1'))).toEqual(['edge1-transit'])
    const [edge1] = topology.routersNamed('edge1')
    expect(edge1 && topology.linksOf(edge1).map((link) => link.switch.name)).toEqual(['transit', 'outside'])
  })

  it('knows the kinds of routers and the chassis of their gateways', () => {
    const layout = new Layout()
      .switch('out')
      .router('gateway', { chassis: 'hv1' })
      .router('mixed', { chassis: 'hv1' })
      .router('ports')
      .router('plain')
      .join('ports', 'out', ['10.0.0.1/24'], ['hv2', 'hv1'])
      .join('mixed', 'out', ['10.0.0.2/24'], ['hv2'])
      .join('plain', 'out', ['10.0.0.3/24'])
    const member = layout.insert('HA_Chassis', { chassis_name: 'hv3', priority: 5 })
    const group = layout.insert('HA_Chassis_Group', { ha_chassis: [member] })
    layout.router('ha').join('ha', 'out', ['10.0.0.4/24'])
    layout.update('Logical_Router_Port', 'ha-out', { ha_chassis_group: group })
    const topology = new Topology(layout)
    const kinds = [...topology.routers()].map((router) => [
      router.name,
      topology.kindOf(router),
      topology.gatewayPorts(router).flatMap(({ chassis }) => chassis),
    ])
    expect(kinds).toEqual([
      ['gateway', 'gateway', []],
      ['mixed', 'gateway', []],
      ['ports', 'gateway-port', ['hv2', 'hv1']],
      ['plain', 'distributed', []],
      ['ha', 'gateway-port', ['hv3']],
    ])
  })

  it.each([
    [['02:00:00:00:00:01 10.0.0.1 FD00::1'], null, ['10.0.0.1', 'fd00::1'], false],
    [['dynamic'], '02:00:00:00:00:09 10.0.0.9', ['10.0.0.9'], false],
    [['02:00:00:00:00:09 dynamic'], '02:00:00:00:00:09 10.0.0.9 fd00::9', ['10.0.0.9', 'fd00::9'], false],
    [['02:00:00:00:00:01'], '02:00:00:00:00:09 10.0.0.9', [], false],
    [['unknown', '02:00:00:00:00:01 10.0.0.1'], null, ['10.0.0.1'], true],
    [['router'], null, [], false],
  ])('reads the addresses %j', (addresses, dynamic, expected, unknown) => {
    const layout = new Layout().switch('s').port('s', 'p', addresses, { dynamic_addresses: dynamic })
    const port = new Topology(layout).portNamed('p') ?? expect.unreachable('the port is there')
    expect(portAddresses(port)).toMatchObject({ addresses: expected, unknown })
  })

  it('knows what a load balancer reaches, directly and by group', () => {
    const layout = article().group('everyone', { switches: ['inside'], routers: ['edge1'] })
    const direct = layout.balancer('one', { '10.9.9.9:80': '' }, { switches: ['dmz'] })
    const both = layout.balancer('two', { '10.9.9.9:81': '' }, { switches: ['inside'], groups: ['everyone'] })
    const topology = new Topology(layout)
    expect(places(topology.reach(direct))).toEqual(['switch dmz'])
    expect(places(topology.reach(both))).toEqual(['switch inside', 'router edge1 by everyone'])
    expect(topology.balancersAt('10.9.9.9').map(({ name }) => name)).toEqual(['one', 'two'])
    layout.insert('NB_Global', { options: new Map([['install_ls_lb_from_router', 'true']]) })
    expect(places(topology.reach(both))).toEqual([
      'switch inside',
      'router edge1 by everyone',
      'switch transit by everyone',
      'switch outside by everyone',
    ])
  })

  it('gives addresses of a switch that nobody has, from the end', () => {
    const layout = new Layout()
      .switch('s', { subnet: '10.0.0.0/28', exclude_ips: '10.0.0.14 10.0.0.11..10.0.0.12' })
      .router('r')
      .join('r', 's', ['10.0.0.13/28'])
      .port('s', 'p', ['02:00:00:00:00:01 10.0.0.10'])
      .nat('r', 'snat', '10.0.0.9', '10.0.0.0/28')
    layout.balancer('vip', { '10.0.0.8:80': '' }, {})
    layout.balancer('checks', {}, {}, { ip_port_mappings: new Map([['10.0.0.10', 'p:10.0.0.7']]) })
    const topology = new Topology(layout)
    expect([...freeAddresses(topology, named(topology, 's'), 4)]).toEqual(
      [6, 5, 4, 3, 2, 1].map((host) => `10.0.0.${host}`),
    )
    expect([...freeAddresses(topology, named(topology, 's'), 6)]).toEqual([])
  })

  it('counts a version for changes of the network, none for load balancers and ports that come up', () => {
    const layout = article().group('clients')
    const topology = new Topology(layout)
    layout.report((changes) => topology.apply(changes))
    layout.update('Logical_Switch_Port', 'vm1', { up: true })
    layout.balancer(
      'web',
      { '10.9.9.9:80': '' },
      { switches: ['inside'], routers: ['edge1'], groups: ['clients'] },
    )
    expect(topology.version).toBe(0)
    layout.update('Logical_Switch_Port', 'vm1', { addresses: ['02:ac:10:ff:01:30 172.16.255.140'] })
    layout.router('another')
    expect(topology.version).toBe(2)
  })

  it.each([
    ['172.16.255.62', []],
    ['172.16.255.194', ['inside']],
    ['10.127.0.254', ['outside', 'wide']],
    ['10.1.1.1', ['managed', 'wide']],
    ['fd00:1::9', ['managed']],
  ])('finds the switches around %s', (address, expected) => {
    const layout = article()
      .switch('managed', { subnet: '10.1.1.0/24', ipv6_prefix: 'fd00:1::' })
      .switch('wide', { subnet: '10.0.0.0/8' })
    expect(names(new Topology(layout).switchesAround(address))).toEqual(expected)
  })

  it('after any changes says what one made anew says', () => {
    type Step = (layout: Layout) => unknown
    const hosts = fc.integer({ min: 1, max: 4 })
    const of = fc.constantFrom('a', 'b')
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.tuple(hosts, hosts).map(
        ([port, host]): Step =>
          (layout) =>
            layout.update('Logical_Switch_Port', `p${port}`, { addresses: [`10.0.0.${host}`] }),
      ),
      fc.tuple(of, fc.array(hosts)).map(
        ([name, ports]): Step =>
          (layout) =>
            layout.update('Logical_Switch', name, {
              ports: ports.map((port) => `Logical_Switch_Port/${port}`),
            }),
      ),
      fc.tuple(of, fc.subarray(['Load_Balancer/10', 'Load_Balancer/11'])).map(
        ([name, balancers]): Step =>
          (layout) =>
            layout.update('Logical_Switch', name, { load_balancer: balancers }),
      ),
      fc.tuple(hosts, fc.constantFrom('', 'localnet', 'router')).map(
        ([port, type]): Step =>
          (layout) =>
            layout.update('Logical_Switch_Port', `p${port}`, {
              type,
              options: new Map([['router-port', 'r-a']]),
            }),
      ),
      fc.tuple(fc.constantFrom('one', 'two'), hosts).map(
        ([name, host]): Step =>
          (layout) =>
            layout.update('Load_Balancer', name, { vips: new Map([[`10.1.0.${host}:80`, '']]) }),
      ),
    )
    const picture = (topology: Topology): unknown => ({
      holders: [1, 2, 3, 4].map((host) => names(topology.holders(`10.0.0.${host}`)).toSorted()),
      owners: [1, 2, 3, 4].map((port) => {
        const row = topology.portNamed(`p${port}`)
        return row === null ? null : topology.switchOf(row)?.uuid !== undefined
      }),
      switches: ['a', 'b'].map((name) => ({
        endpoints: names(topology.endpoints(named(topology, name))),
        links: topology.links(named(topology, name)).map(({ switchPort }) => switchPort.name),
        outside: topology.leadsOutside(named(topology, name)),
      })),
      reach: ['Load_Balancer/10', 'Load_Balancer/11'].map((uuid) => places(topology.reach(uuid)).toSorted()),
      vips: [1, 2, 3, 4].map((host) => names(topology.balancersAt(`10.1.0.${host}`)).toSorted()),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const layout = new Layout()
        for (const port of [1, 2, 3, 4]) {
          layout.insert('Logical_Switch_Port', { name: `p${port}`, addresses: [`10.0.0.${port}`] })
        }
        layout.switch('a').switch('b').router('r').join('r', 'a', ['10.0.0.1/24'])
        layout.balancer('one', { '10.1.0.1:80': '' }, {})
        expect(layout.balancer('two', { '10.1.0.2:80': '' }, {})).toBe('Load_Balancer/11')
        const topology = new Topology(layout)
        layout.report((changes) => topology.apply(changes))
        for (const change of steps) {
          change(layout)
          // What is remembered in between must not survive.
          picture(topology)
        }
        expect(picture(topology)).toEqual(picture(new Topology(layout)))
      }),
    )
  })
})
