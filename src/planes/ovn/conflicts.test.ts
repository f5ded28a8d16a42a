import { describe, expect, it } from 'vitest'
import { conflictsOf, conflictText } from './conflicts.ts'
import { Topology } from './topology.ts'
import { article, type Layout } from './topologyRig.ts'

type Attached = Parameters<Layout['balancer']>[2]

interface Side {
  readonly vip: string
  readonly to: Attached
  readonly protocol?: string | null
  readonly owner?: string
  /** Without it the mark is spoilt. */
  readonly service?: string
}

/** What stands against `own`, by the texts of its places. */
function places(own: Side, other: Side, spread = false): readonly string[] {
  const layout = article()
    .group('clients', { switches: ['inside'], routers: ['edge1'] })
    .group('servers', { switches: ['dmz'] })
  if (spread) layout.insert('NB_Global', { options: new Map([['install_ls_lb_from_router', 'true']]) })
  const add = (name: string, { vip, to, protocol = 'tcp', ...marks }: Side): string =>
    layout.balancer(name, { [vip]: '' }, to, {
      protocol,
      external_ids: new Map(Object.entries(marks).map(([key, value]) => [`torb-${key}`, value])),
    })
  const uuid = add('web', { owner: 'torb', service: 'web', ...own })
  add('manual', other)
  const topology = new Topology(layout)
  const row = topology.balancer(uuid) ?? expect.unreachable('the row is there')
  return conflictsOf(row, 'torb', topology).flatMap(({ foreign, at }) => {
    expect(foreign.name).toBe('manual')
    return at.map((one) => `${one.kind} ${one.row.name}`)
  })
}

const vip = '172.16.255.62:80'
const inside = { switches: ['inside'] }

describe('conflicts', () => {
  it.each<[string, Side, Side, readonly string[]]>([
    ['the same on one switch', { vip, to: inside }, { vip, to: inside }, ['switch inside']],
    [
      'the same on two of three datapaths',
      { vip, to: { switches: ['inside', 'dmz'], routers: ['edge1'] } },
      { vip, to: { switches: ['dmz'], routers: ['edge1'] } },
      ['switch dmz', 'router edge1'],
    ],
    [
      'the same by group and directly',
      { vip, to: { groups: ['clients'] } },
      { vip, to: inside },
      ['switch inside'],
    ],
    [
      'the same by one group',
      { vip, to: { groups: ['clients'] } },
      { vip, to: { groups: ['clients'] } },
      ['switch inside', 'router edge1'],
    ],
    ['protocol left out is tcp', { vip, to: inside }, { vip, to: inside, protocol: null }, ['switch inside']],
    [
      'without port whatever the protocol says',
      { vip: '172.16.255.62', to: inside, protocol: null },
      { vip: '172.16.255.62', to: inside, protocol: 'udp' },
      ['switch inside'],
    ],
    [
      'spelled in another way',
      { vip: '[fd00::1]:80', to: inside },
      { vip: '[FD00:0::1]:80', to: inside },
      ['switch inside'],
    ],
    ['one whose mark is spoilt', { vip, to: inside }, { vip, to: inside, owner: 'torb' }, ['switch inside']],
    ["another Torb's", { vip, to: inside }, { vip, to: inside, owner: 'other' }, ['switch inside']],
    [
      'templates of one name',
      { vip: '^web:80', to: inside },
      { vip: '^web:80', to: inside },
      ['switch inside'],
    ],
  ])('are: %s', (_, own, other, expected) => {
    expect(places(own, other)).toEqual(expected)
  })

  it.each<[string, Side, Side]>([
    ['disjoint switches', { vip, to: inside }, { vip, to: { switches: ['dmz'] } }],
    ['disjoint groups', { vip, to: { groups: ['clients'] } }, { vip, to: { groups: ['servers'] } }],
    ['attached nowhere', { vip, to: inside }, { vip, to: {} }],
    ['another port', { vip, to: inside }, { vip: '172.16.255.62:81', to: inside }],
    ['another protocol', { vip, to: inside }, { vip, to: inside, protocol: 'udp' }],
    ['with and without port', { vip, to: inside }, { vip: '172.16.255.62', to: inside }],
    ['of the same owner', { vip, to: inside }, { vip, to: inside, owner: 'torb', service: 'mail' }],
    ['another variable', { vip: '^web:80', to: inside }, { vip: '^mail:80', to: inside }],
  ])('are not: %s', (_, own, other) => {
    expect(places(own, other)).toEqual([])
  })

  it("counts switches that have their router's load balancers (install_ls_lb_from_router)", () => {
    const own = { vip, to: { switches: ['transit'] } }
    const other = { vip, to: { routers: ['edge1'] } }
    expect(places(own, other)).toEqual([])
    expect(places(own, other, true)).toEqual(['switch transit'])
  })

  it('are told with both rows, the place and the cure', () => {
    const layout = article()
    const uuid = layout.balancer('web', { [vip]: '' }, inside)
    const foreign = layout.balancer('manual', { [vip]: '' }, inside)
    const topology = new Topology(layout)
    const row = topology.balancer(uuid) ?? expect.unreachable('the row is there')
    expect(conflictsOf(row, 'torb', topology).map(conflictText)).toEqual([
      `load balancer manual (${foreign}), which is not Torb's, has tcp ${vip} on switch inside too, as has web (${uuid}), and OVN takes one of them without telling which: detach it ("ovn-nbctl ls-lb-del inside ${foreign}"), remove it, take it over (--adopt), or give web another address`,
    ])
  })
})
