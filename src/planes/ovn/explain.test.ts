import { describe, expect, it } from 'vitest'
import { plainDestination, plainService } from '../plain.ts'
import type { Explanation, Flow, VirtualService } from '../plane.ts'
import { explainFlow, type Surroundings } from './explain.ts'
import { Topology } from './topology.ts'
import { article, Layout } from './topologyRig.ts'
import type { Microflow, Traced } from './trace.ts'

const switchVip = '172.16.255.62'
const edgeVip = '10.127.0.254'
const two = [
  plainDestination('172.16.255.130', { id: 'vm1' }),
  plainDestination('172.16.255.131', { id: 'vm2' }),
]

interface Given extends Partial<Omit<Surroundings, 'topology' | 'services'>> {
  readonly spec?: Partial<VirtualService>
  readonly on?: { readonly switches?: readonly string[]; readonly routers?: readonly string[] }
  readonly from?: string
  /** The service's address where absent. */
  readonly to?: string
  /** Value of `vips`. */
  readonly list?: string
  readonly columns?: Parameters<Layout['balancer']>[3]
}

async function explained(layout: Layout, given: Given): Promise<Explanation> {
  const { spec: fields, on = {}, from = '172.16.255.194', to, columns, list, ...rest } = given
  const spec = plainService({
    address: switchVip,
    destinations: two,
    attach: { switches: on.switches ?? [], routers: on.routers ?? [], groups: [] },
    ...fields,
  })
  const key = `${spec.address}${spec.port === 'any' ? '' : ':80'}`
  const value = list ?? spec.destinations.map(({ address }) => `${address}:80`).join(',')
  const uuid = layout.balancer('web', { [key]: value }, on, columns)
  const topology = new Topology(layout)
  const flow: Flow = {
    protocol: 'tcp',
    source: from,
    sourcePort: 40_000,
    destination: to ?? spec.address,
    destinationPort: 80,
  }
  return explainFlow(flow, {
    services: [{ spec, row: topology.balancer(uuid) }],
    topology,
    owner: 'torb',
    chassisOf: (port) => ({ vm3: 'hv1', 'cr-r-public': 'hv2' })[port] ?? null,
    health: () => null,
    trace: null,
    ...rest,
  })
}

const passesGateway = (...before: readonly string[]): string => `Packets pass ${before.join(', ')}.`

describe('explain', () => {
  it("the article: on the client's switch", async () => {
    const { steps, ...found } = await explained(article(), { on: { switches: ['inside'] } })
    expect(found).toEqual({ service: 'web', backend: null, candidates: ['vm1', 'vm2'] })
    expect(steps).toEqual([
      expect.stringMatching(
        /^Service web takes tcp 172\.16\.255\.62:80 \(load balancer Load_Balancer\/\d+\)\.$/,
      ),
      'Client 172.16.255.194 is logical port vm3 on switch inside, on chassis hv1.',
      "Switch inside, on the client's own chassis hv1, balances it.",
      'The datapath chooses by a hash of the connection one of: backend vm1 (172.16.255.130:80) with 1 of 2 slots, backend vm2 (172.16.255.131:80) with 1 of 2 slots.',
      'Answers return to switch inside, which translates them back; backends see 172.16.255.194.',
    ])
  })

  it("the article: on the servers' switch only", async () => {
    const { steps, ...found } = await explained(article(), { on: { switches: ['dmz'] } })
    expect(found).toEqual({ service: 'web', backend: null })
    expect(steps.slice(2)).toEqual([
      passesGateway('switch inside', 'router tenant1', 'switch transit', 'router edge1'),
      'Router edge1 has no route to 172.16.255.62; the client gets no answer.',
      expect.stringMatching(/^Advice: service web is attached only to switch dmz, where its backends are, /),
    ])
  })

  it.each<[string, () => Layout, Given, string]>([
    [
      'bare',
      article,
      {},
      'Answers from switch dmz go past router edge1 and are not translated back; the client gets no answer.',
    ],
    [
      'with its own SNAT rule',
      () => article().nat('edge1', 'snat', '10.127.0.129', '172.16.255.128/25'),
      {},
      "A SNAT rule of router edge1 takes the client's address, so backends see the router's and answers return to it.",
    ],
    [
      'with lb_force_snat_ip',
      () => article({ lb_force_snat_ip: '10.127.0.129' }),
      {},
      'Backends see an address of router edge1 (lb_force_snat_ip 10.127.0.129), so answers return to it.',
    ],
    [
      'from outside',
      article,
      { from: '10.127.0.130' },
      'Answers return by router edge1, which translates them back; backends see 10.127.0.130.',
    ],
  ])('the article: on the gateway router, %s', async (_, layout, given, sentence) => {
    const { steps } = await explained(layout(), {
      spec: { address: edgeVip },
      on: { routers: ['edge1'] },
      ...given,
    })
    expect(steps).toContain('Gateway router edge1, on chassis hv1, balances it.')
    expect(steps).toContain(sentence)
    expect(steps).toContain(
      given.from === undefined
        ? passesGateway('switch inside', 'router tenant1', 'switch transit', 'router edge1')
        : passesGateway('switch outside', 'router edge1'),
    )
  })

  it.each<[string, Given, string]>([
    [
      'a backend itself',
      { from: '172.16.255.130', on: { switches: ['dmz'] } },
      'The client is backend vm1 itself; where it is chosen, it sees 172.16.255.62 as the client.',
    ],
    [
      'nowhere',
      { from: '192.0.2.1', on: { switches: ['inside'] } },
      'Client 192.0.2.1 is at no logical port; it comes in from outside, as it seems by switch outside.',
    ],
    [
      'on no chassis',
      { from: '172.16.255.195', on: { switches: ['inside'] } },
      'Client 172.16.255.195 is logical port vm4 on switch inside, which is bound to no chassis.',
    ],
  ])('a client that is %s', async (_, given, sentence) => {
    expect((await explained(article(), given)).steps).toContain(sentence)
  })

  it.each<[string, () => Layout, Given, string]>([
    [
      'a plain distributed router',
      article,
      { on: { routers: ['tenant1'] } },
      'Router tenant1 has the load balancer, but is distributed without a gateway port, and never translates answers back; the client gets no answer.',
    ],
    [
      'a router with a gateway port, from inside',
      withGatewayPort,
      { spec: { address: '10.3.0.200' }, on: { routers: ['r'] }, from: '10.2.0.11' },
      'Router r has the load balancer, but only translates back what leaves by its gateway port; the client gets no answer.',
    ],
    [
      'an address outside, of a network that a router leads to',
      withGatewayPort,
      { spec: { address: '10.3.0.200' }, on: { routers: [] }, from: '10.2.0.11' },
      'Packets leave the logical network by switch public, balanced by nobody; what is beyond is not known here.',
    ],
    [
      'a router with a gateway port, from outside',
      withGatewayPort,
      { spec: { address: '10.3.0.200' }, on: { routers: ['r'] }, from: '10.3.0.100' },
      'Router r, by its gateway port r-public on chassis hv2, balances it.',
    ],
    [
      "a backends' switch that packets enter by a router",
      article,
      { spec: { address: '172.16.255.180' }, on: { switches: ['dmz'] } },
      "Switch dmz has the load balancer, but what comes in by a router's port is not balanced there.",
    ],
    [
      "an address of the client's own network that nobody answers for",
      article,
      { spec: { address: '172.16.255.250' }, on: { switches: ['inside'] } },
      'Nobody on switch inside answers ARP for 172.16.255.250; the client gets no answer.',
    ],
    [
      'an address that nobody on a switch answers for',
      article,
      { spec: { address: '172.16.255.180' }, on: { switches: ['dmz'] } },
      'Nobody on switch dmz answers ARP for 172.16.255.180; the client gets no answer.',
    ],
    [
      'an address that a port has',
      article,
      { spec: { address: '172.16.255.131' }, on: { routers: [] } },
      'Port vm2 has 172.16.255.131 itself and gets the packets unbalanced.',
    ],
    [
      'an address that a router has',
      article,
      { spec: { address: '172.16.255.1' }, on: { routers: [] } },
      'Router edge1 has 172.16.255.1 itself; nothing balances it.',
    ],
    [
      'a switch alone',
      () => new Layout().switch('alone').port('alone', 'p', ['02:00:00:00:00:01 10.0.0.1']),
      { from: '10.0.0.1', on: { routers: [] } },
      'Switch alone has no router to send packets for 172.16.255.62 to; the client gets no answer.',
    ],
    [
      'routers that send each other',
      () => article().route('edge1', '0.0.0.0/0', '172.16.255.2'),
      { on: { routers: [] } },
      'Routers send packets in a circle; the client gets no answer.',
    ],
  ])('what balances nothing, or not for all: %s', async (_, layout, given, sentence) => {
    expect((await explained(layout(), given)).steps).toContain(sentence)
  })

  it.each<[string, Given, string | null, readonly string[]]>([
    [
      'by weight',
      {
        list: '172.16.255.130:80,172.16.255.130:80,172.16.255.131:80',
        columns: { selection_fields: ['ip_src'] },
      },
      null,
      [
        'The datapath chooses by a hash of ip_src one of: backend vm1 (172.16.255.130:80) with 2 of 3 slots, backend vm2 (172.16.255.131:80) with 1 of 3 slots.',
      ],
    ],
    [
      'learned',
      { columns: { options: new Map([['affinity_timeout', '60']]) } },
      null,
      ['Who connected within the last 60 s stays where it was.'],
    ],
    [
      'one left: the other drains',
      {
        spec: { destinations: [two[0], { ...two[1], weight: 0 }] as VirtualService['destinations'] },
        list: '172.16.255.130:80',
      },
      'vm1',
      [
        'Backend vm2 (172.16.255.131:80) takes no new connections: its weight is 0.',
        'Only backend vm1 (172.16.255.130:80) is left.',
      ],
    ],
    [
      'one left: the other is down',
      { health: (_, id) => (id === 'vm1' ? { up: false, reason: 'offline' } : null) },
      'vm2',
      ['Backend vm1 (172.16.255.130:80) takes no new connections: offline.'],
    ],
    [
      'one left: the row lacks the other',
      { list: '172.16.255.131:80' },
      'vm2',
      ['Backend vm1 (172.16.255.130:80) takes no new connections: the row does not list it.'],
    ],
    ['none', { spec: { destinations: [] } }, null, ['The service has no backends; a client is refused.']],
    [
      'all drained',
      { spec: { destinations: [], ovn: { when_empty: 'drop' } } },
      null,
      ['The service has no backends; a client gets no answer.'],
    ],
  ])('the choice: %s', async (_, given, backend, sentences) => {
    const explanation = await explained(article(), { on: { switches: ['inside'] }, ...given })
    expect(explanation.backend).toBe(backend)
    expect(explanation.steps).toEqual(expect.arrayContaining([...sentences]))
  })

  it('finds the client of the network that the service is in, where others overlap', async () => {
    const layout = new Layout()
      .switch('theirs')
      .router('other')
      .join('other', 'theirs', ['10.0.0.1/24'])
      .port('theirs', 'their', ['02:00:00:00:00:01 10.0.0.9'])
      .switch('ours')
      .router('r')
      .join('r', 'ours', ['10.0.0.1/24'])
      .port('ours', 'our', ['02:00:00:00:00:01 10.0.0.9'])
    const { steps } = await explained(layout, { from: '10.0.0.9', on: { switches: ['ours'] } })
    expect(steps[1]).toBe('Client 10.0.0.9 is logical port our on switch ours, which is bound to no chassis.')
  })

  it('finds a template by the address of any chassis', async () => {
    const { service } = await explained(article(), {
      spec: { address: '10.9.9.9', ovn: { template: { hv1: switchVip } } },
      to: switchVip,
      on: { switches: ['inside'] },
    })
    expect(service).toBe('web')
  })

  it('says of a template what the address is on the chassis that balances, and that ovn-trace does not know', async () => {
    const asked = (to: string): Promise<Explanation> =>
      explained(article(), {
        spec: { address: '10.9.9.9', ovn: { template: { hv1: switchVip } } },
        to,
        on: { switches: ['inside'] },
        trace: () => expect.unreachable('it would say that nobody balances'),
      })
    const trace = 'No evidence by ovn-trace: it does not know what variables of templates stand for.'
    const [there, elsewhere] = await Promise.all([asked(switchVip), asked('10.9.9.9')])
    expect(there.candidates).toEqual(['vm1', 'vm2'])
    expect(there.steps.at(-1)).toBe(trace)
    expect(elsewhere.candidates).toBeUndefined()
    expect(elsewhere.steps.slice(2)).toEqual([
      `On chassis hv1, where switch inside balances, service web has the address ${switchVip} (template); nothing balances 10.9.9.9 there.`,
      trace,
    ])
  })

  it('says nothing of answers where no backend is left', async () => {
    const { steps } = await explained(article(), { on: { switches: ['inside'] }, spec: { destinations: [] } })
    expect(steps.slice(2)).toEqual([
      "Switch inside, on the client's own chassis hv1, balances it.",
      'The service has no backends; a client is refused.',
    ])
  })

  it('finds the service of the port before that of any port', async () => {
    const layout = article()
    const any = layout.balancer('any', { [switchVip]: '' }, { switches: ['inside'] })
    const exact = layout.balancer('exact', { [`${switchVip}:80`]: '' }, { switches: ['inside'] })
    const topology = new Topology(layout)
    const known = (
      id: string,
      port: number | 'any',
      uuid: string,
    ): { spec: VirtualService; row: ReturnType<Topology['balancer']> } => ({
      spec: plainService({ id, address: switchVip, port }),
      row: topology.balancer(uuid),
    })
    const ask = async (destinationPort: number): Promise<string | null> => {
      const { service } = await explainFlow(
        { protocol: 'tcp', source: '172.16.255.194', sourcePort: 1, destination: switchVip, destinationPort },
        {
          services: [known('any', 'any', any), known('exact', 80, exact)],
          topology,
          owner: 'torb',
          chassisOf: () => null,
          health: () => null,
          trace: null,
        },
      )
      return service
    }
    expect([await ask(80), await ask(81)]).toEqual(['exact', 'any'])
  })

  it("says that nobody, or a stranger, takes it, and that a stranger's is in the way", async () => {
    const layout = article()
    const manual = layout.balancer('manual', { [`${switchVip}:80`]: '' }, { switches: ['inside'] })
    const conflict = (await explained(layout, { on: { switches: ['inside'] } })).steps.find((step) =>
      step.startsWith('Conflict: load balancer manual'),
    )
    expect(conflict).toContain(manual)
    const nobody = await explainFlow(
      {
        protocol: 'tcp',
        source: '172.16.255.194',
        sourcePort: 1,
        destination: switchVip,
        destinationPort: 81,
      },
      {
        services: [],
        topology: new Topology(layout),
        owner: 'torb',
        chassisOf: () => null,
        health: () => null,
        trace: null,
      },
    )
    expect(nobody).toMatchObject({ service: null, backend: null })
    expect(nobody.steps).toContain('No service takes tcp 172.16.255.62:81.')
    expect(nobody.steps).toContain(
      `Load balancer manual (${manual}), which is no service of this Torb, has this address.`,
    )
  })

  it('asks ovn-trace about the packet that the client sends', async () => {
    const asked: Microflow[] = []
    const layout = article().update('Logical_Router_Port', 'tenant1-inside', { mac: '02:00:00:00:00:93' })
    layout.update('Logical_Router_Port', 'edge1-outside', { mac: '02:00:00:00:00:29' })
    const trace = (microflow: Microflow): Promise<Traced> => {
      asked.push(microflow)
      return Promise.resolve({ ok: false, reason: 'ovn-trace is not installed here (Debian: ovn-common)' })
    }
    const { steps } = await explained(layout, { on: { switches: ['inside'] }, trace })
    expect(steps.at(-1)).toBe(
      'No evidence by ovn-trace: ovn-trace is not installed here (Debian: ovn-common).',
    )
    await explained(layout, {
      spec: { address: edgeVip },
      on: { routers: ['edge1'] },
      from: '10.127.0.130',
      trace,
    })
    expect(asked.map(({ inport, sourceMac, destinationMac }) => [inport, sourceMac, destinationMac])).toEqual(
      [
        ['vm3', '02:ac:10:ff:01:94', '02:00:00:00:00:93'],
        ['outside-localnet', '02:00:00:00:00:01', '02:00:00:00:00:29'],
      ],
    )
  })
})

function withGatewayPort(): Layout {
  return new Layout()
    .switch('inside')
    .switch('dmz')
    .switch('public')
    .router('r')
    .join('r', 'dmz', ['172.16.255.129/26'])
    .join('r', 'inside', ['10.2.0.1/24'])
    .join('r', 'public', ['10.3.0.1/24'], ['hv1', 'hv2'])
    .localnet('public')
    .port('dmz', 'vm1', ['02:00:00:00:00:01 172.16.255.130'])
    .port('dmz', 'vm2', ['02:00:00:00:00:02 172.16.255.131'])
    .port('inside', 'in1', ['02:00:00:00:00:03 10.2.0.11'])
}
