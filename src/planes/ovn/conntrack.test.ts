import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endpointText } from '../../model/address.ts'
import { Census, flushArguments, parseConntrack, type Tracked } from './conntrack.ts'

/** Printed by Open vSwitch 3.1 with OVN 23.03, of clients 10.0.0.2 and fd00::2. */
const printed = `tcp,orig=(src=10.0.0.2,dst=10.0.0.3,sport=42001,dport=80),reply=(src=10.0.0.3,dst=10.0.0.2,sport=80,dport=42001),zone=6,protoinfo=(state=ESTABLISHED)
tcp,orig=(src=10.0.0.2,dst=192.168.9.9,sport=41173,dport=80),reply=(src=10.0.0.4,dst=10.0.0.2,sport=80,dport=41173),zone=5,mark=2,protoinfo=(state=TIME_WAIT)
tcp,orig=(src=fd00::2,dst=fd09::9,sport=38303,dport=80),reply=(src=fd00::4,dst=fd00::2,sport=80,dport=38303),zone=5,mark=2,protoinfo=(state=ESTABLISHED)
tcp,orig=(src=10.0.0.2,dst=192.168.9.9,sport=41599,dport=80),reply=(src=10.0.0.4,dst=10.0.0.2,sport=80,dport=41599),zone=5,mark=2,protoinfo=(state=ESTABLISHED)
udp,orig=(src=10.0.0.2,dst=192.168.9.9,sport=39257,dport=80),reply=(src=10.0.0.4,dst=10.0.0.2,sport=80,dport=39257),zone=5,mark=2
icmp,orig=(src=10.0.0.2,dst=10.0.0.3,id=1,type=8,code=0),reply=(src=10.0.0.3,dst=10.0.0.2,id=1,type=0,code=0),zone=6
`

const tracked: fc.Arbitrary<Tracked> = fc
  .constantFrom<(readonly [() => fc.Arbitrary<string>])[]>([fc.ipV4], [fc.ipV6])
  .chain(([address]) => {
    const end = fc.record({ address: address(), port: fc.nat(65_535) })
    return fc.record({
      protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
      source: end,
      destination: end,
      answers: end,
      zone: fc.nat(65_535),
      open: fc.boolean(),
    })
  })

const print = ({ protocol, source, destination, answers, zone, open }: Tracked): string =>
  `${protocol},orig=(src=${source.address},dst=${destination.address},sport=${source.port},dport=${destination.port}),` +
  `reply=(src=${answers.address},dst=${source.address},sport=${answers.port},dport=${source.port}),zone=${zone},mark=2,` +
  `protoinfo=(state=${open ? 'ESTABLISHED' : 'FIN_WAIT_2'})`

describe('tracked connections', () => {
  it('are read as Open vSwitch prints them', () => {
    expect(
      parseConntrack(printed).map(
        ({ protocol, destination, answers, zone, open }) =>
          `${protocol} ${endpointText(destination.address, destination.port)} ${endpointText(answers.address, answers.port)} ${zone} ${open}`,
      ),
    ).toEqual([
      'tcp 10.0.0.3:80 10.0.0.3:80 6 true',
      'tcp 192.168.9.9:80 10.0.0.4:80 5 false',
      'tcp [fd09::9]:80 [fd00::4]:80 5 true',
      'tcp 192.168.9.9:80 10.0.0.4:80 5 true',
      'udp 192.168.9.9:80 10.0.0.4:80 5 true',
    ])
  })

  it('are read back whatever they are', () => {
    fc.assert(
      fc.property(fc.array(tracked), (all) => {
        const read = parseConntrack(all.map(print).join('\n'))
        expect(parseConntrack(read.map(print).join('\n'))).toEqual(read)
        expect(read.map(({ zone, open, protocol }) => [zone, open, protocol])).toEqual(
          all.map(({ zone, open, protocol }) => [zone, open, protocol]),
        )
      }),
    )
  })

  it('may be any text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseConntrack(text)).toEqual([])
      }),
    )
  })

  it('are forgotten one by one', () => {
    const [, , six, four] = parseConntrack(printed)
    expect([four, six].map((one) => one && flushArguments(one))).toEqual([
      ['zone=5', 'ct_nw_src=10.0.0.2,ct_nw_dst=192.168.9.9,ct_tp_src=41599,ct_tp_dst=80,ct_nw_proto=6'],
      ['zone=5', 'ct_ipv6_src=fd00::2,ct_ipv6_dst=fd09::9,ct_tp_src=38303,ct_tp_dst=80,ct_nw_proto=6'],
    ])
  })
})

describe('connections by virtual address and backend', () => {
  const census = new Census(parseConntrack(printed))
  const backend = { address: '10.0.0.4', port: 80 }

  it.each([
    ['tcp', '192.168.9.9', 80, backend, { active: 1, inactive: 1 }],
    ['udp', '192.168.9.9', 80, backend, { active: 1, inactive: 0 }],
    ['tcp', 'fd09::9', 80, { address: 'fd00::4', port: 80 }, { active: 1, inactive: 0 }],
    ['tcp', '192.168.9.9', 81, backend, { active: 0, inactive: 0 }],
    ['tcp', '192.168.9.9', 80, { address: '10.0.0.4', port: 81 }, { active: 0, inactive: 0 }],
    ['tcp', '192.168.9.9', 0, { address: '10.0.0.4', port: 0 }, { active: 2, inactive: 1 }],
  ] as const)('%s to %s port %d', (protocol, address, port, to, tally) => {
    expect(census.tally({ protocol, address, port }, to)).toEqual(tally)
  })

  it('are counted once, however many zones and chassis track them', () => {
    const again = parseConntrack(printed.replaceAll('zone=5', 'zone=9'))
    expect(
      new Census([...parseConntrack(printed), ...again]).tally(
        { protocol: 'tcp', address: '192.168.9.9', port: 80 },
        backend,
      ),
    ).toEqual({ active: 1, inactive: 1 })
  })
})
