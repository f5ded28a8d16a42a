import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { plainDestination } from '../plain.ts'
import { CheckSources, bracketed, mapBackends, mappingText, parseMapping } from './mappings.ts'
import { Topology } from './topology.ts'
import { article, Layout } from './topologyRig.ts'

const destinations = (...addresses: readonly string[]) =>
  addresses.map((address, i) => plainDestination(address, { id: `b${i + 1}` }))

/** The mappings of backends in a layout, as OVN has them, and what stands in the way. */
function mapped(
  layout: Layout,
  addresses: readonly string[],
  {
    present = [],
    given,
    switches,
    routers = [],
  }: {
    present?: readonly string[]
    given?: string
    switches?: readonly string[]
    routers?: readonly string[]
  } = {},
) {
  const topology = new Topology(layout)
  const attach = switches === undefined ? null : { switches, routers, groups: [] }
  const { mappings, problems } = mapBackends(
    topology,
    { destinations: destinations(...addresses), attach },
    new CheckSources(topology, present),
    given,
  )
  return {
    mappings: Object.fromEntries(
      [...mappings].map(([address, mapping]) => [bracketed(address), mappingText(mapping)]),
    ),
    problems: [...problems.values()],
  }
}

const dual = (): Layout =>
  new Layout()
    .switch('sw')
    .router('r')
    .join('r', 'sw', ['10.0.0.1/29', 'fd00::1/64'])
    .port('sw', 'vm1', ['02:00:00:00:00:01 10.0.0.2 fd00::2'])
    .port('sw', 'vm2', ['02:00:00:00:00:02 10.0.0.3 fd00::3'])

describe('mappings of backends', () => {
  it("have the port by its address, and a free address of the router port's network", () => {
    expect(mapped(article(), ['172.16.255.130', '172.16.255.131'])).toEqual({
      mappings: { '172.16.255.130': 'vm1:172.16.255.190', '172.16.255.131': 'vm2:172.16.255.190' },
      problems: [],
    })
  })

  it('are written with brackets for IPv6', () => {
    expect(mapped(dual(), ['fd00::2', '10.0.0.2']).mappings).toEqual({
      '[fd00::2]': 'vm1:[fd00::fffe]',
      '10.0.0.2': 'vm1:10.0.0.6',
    })
  })

  it("take the network of the switch's own address management, and dynamic addresses", () => {
    const layout = new Layout()
      .switch('sw', { subnet: '10.1.0.0/29' })
      .port('sw', 'vm1', ['dynamic'], { dynamic_addresses: '0a:00:00:00:00:01 10.1.0.2' })
    expect(mapped(layout, ['10.1.0.2']).mappings).toEqual({ '10.1.0.2': 'vm1:10.1.0.6' })
  })

  it.each<[string, (layout: Layout) => void, string]>([
    ['a port', (layout) => layout.port('sw', 'vm9', ['02:00:00:00:00:09 10.0.0.6']), '10.0.0.5'],
    ['a virtual service', (layout) => layout.balancer('other', { '10.0.0.6:80': '' }, {}), '10.0.0.5'],
    ['a router', (layout) => layout.router('q').join('q', 'sw', ['10.0.0.6/29']), '10.0.0.5'],
  ])('leave out a source that %s has', (_, take, source) => {
    const layout = dual()
    take(layout)
    expect(mapped(layout, ['10.0.0.2']).mappings).toEqual({ '10.0.0.2': `vm1:${source}` })
  })

  it('keep the source of an earlier run as long as nobody takes it', () => {
    expect(mapped(dual(), ['10.0.0.3'], { present: ['vm1:10.0.0.4'] }).mappings).toEqual({
      '10.0.0.3': 'vm2:10.0.0.4',
    })
    const taken = dual().port('sw', 'vm9', ['02:00:00:00:00:09 10.0.0.4'])
    expect(mapped(taken, ['10.0.0.3'], { present: ['vm1:10.0.0.4'] }).mappings).toEqual({
      '10.0.0.3': 'vm2:10.0.0.6',
    })
  })

  it('take the source that was given, where it is in the network and nobody has it', () => {
    expect(mapped(dual(), ['10.0.0.2'], { given: '10.0.0.5' })).toEqual({
      mappings: { '10.0.0.2': 'vm1:10.0.0.5' },
      problems: [],
    })
    for (const given of ['10.0.0.1', '10.0.0.3', '10.9.9.9']) {
      expect(mapped(dual(), ['10.0.0.2'], { given })).toEqual({
        mappings: { '10.0.0.2': 'vm1:10.0.0.6' },
        problems: [
          `check_source ${given} is not a free address in the network of any backend: leave it out, and one is chosen`,
        ],
      })
    }
  })

  it('believe in a source where no network is known', () => {
    const layout = new Layout().switch('sw').port('sw', 'vm1', ['02:00:00:00:00:01 10.0.0.2'])
    expect(mapped(layout, ['10.0.0.2'], { given: '10.0.0.9' }).mappings).toEqual({
      '10.0.0.2': 'vm1:10.0.0.9',
    })
  })

  it.each<[string, Layout, string, string]>([
    [
      'no port has the address',
      dual(),
      '10.0.0.77',
      'backend b1: no logical switch port has the address 10.0.0.77, so OVN cannot check it: give the port the address (ovn-nbctl lsp-set-addresses PORT "MAC 10.0.0.77"), or the backend "pulse": {"type": "none"}',
    ],
    [
      'the network is not known',
      new Layout().switch('sw').port('sw', 'vm1', ['02:00:00:00:00:01 10.0.0.2']),
      '10.0.0.2',
      `backend b1: OVN's checks of 10.0.0.2 need a free IPv4 address in the network of switch sw, and none is known: give one as "ovn": {"check_source": ADDRESS}, or say the network by other_config:subnet of the switch`,
    ],
    [
      'the name of the port has a colon',
      dual().port('sw', 'a:b', ['02:00:00:00:00:05 10.0.0.5']),
      '10.0.0.5',
      `backend b1: the name of its logical switch port, a:b, has a colon, which OVN's ip_port_mappings cannot hold: rename the port, or give the backend "pulse": {"type": "none"}`,
    ],
  ])('say where %s', (_, layout, address, problem) => {
    expect(mapped(layout, [address])).toEqual({ mappings: {}, problems: [problem] })
  })

  it('of networks that overlap take the one that the service reaches', () => {
    const layout = dual()
      .switch('far')
      .router('other')
      .join('other', 'far', ['10.0.0.1/29'])
      .port('far', 'vm8', ['02:00:00:00:00:08 10.0.0.2'])
      .switch('clients')
      .join('r', 'clients', ['10.2.0.1/24'])
    expect(mapped(layout, ['10.0.0.2'], { switches: ['clients'] }).mappings).toEqual({
      '10.0.0.2': 'vm1:10.0.0.6',
    })
    expect(mapped(layout, ['10.0.0.2'], { switches: [], routers: ['other'] }).mappings).toEqual({
      '10.0.0.2': 'vm8:10.0.0.6',
    })
    expect(mapped(layout, ['10.0.0.2']).problems).toEqual([
      'backend b1: the logical switch ports vm1, vm8 all have the address 10.0.0.2: leave it to one of them, or attach the service to the switch that is meant',
    ])
  })

  it('are read as they are written', () => {
    const port = fc.string({ minLength: 1 }).filter((name) => !name.includes(':'))
    fc.assert(
      fc.property(port, fc.oneof(fc.ipV4(), fc.ipV6()), (name, source) => {
        expect(parseMapping(mappingText({ port: name, source }))).toEqual({ port: name, source })
      }),
    )
    expect(parseMapping('vm1')).toBe(null)
    expect(parseMapping('vm1:nowhere')).toBe(null)
  })
})
