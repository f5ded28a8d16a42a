import { execFileSync } from 'node:child_process'
import * as fc from 'fast-check'
import { endpointText } from '../../src/model/address.ts'
import {
  carrierOf,
  flagBit,
  protocolNames,
  schedulerNames,
  type SchedulerName,
} from '../../src/model/names.ts'
import { endpointKey } from '../../src/planes/endpoint.ts'
import { IpvsPlane } from '../../src/planes/ipvs/plane.ts'
import type { Destination, VirtualService } from '../../src/planes/plane.ts'
import { ledgerOver } from '../conformance/rig.ts'

/** Those that Debian's User-Mode Linux has. */
const schedulers = schedulerNames.filter((name) => name !== 'twos')

const ipv4 = fc.tuple(
  fc.integer({ min: 1, max: 126 }),
  fc.nat(255),
  fc.nat(255),
  fc.integer({ min: 1, max: 254 }),
)
const addressIn = (family: 4 | 6) =>
  family === 4
    ? ipv4.filter(([first]) => first !== 127).map((parts) => parts.join('.'))
    : fc
        .tuple(fc.integer({ min: 1, max: 0xffff }), fc.integer({ min: 1, max: 0xffff }))
        .map(([a, b]) => `2001:db8:${a.toString(16)}::${b.toString(16)}`)
const portNumber = fc.integer({ min: 1, max: 65535 })

/** Flag bits that ipvsadm has names for beside this scheduler. */
const flagsOf = (scheduler: SchedulerName) => {
  const { fallback, port, third } = flagBit
  const bits = scheduler === 'sh' || scheduler === 'mh' ? [fallback, port] : [fallback, port, third]
  return fc.subarray(bits).map((set) => set.reduce((all, bit) => all | bit, 0))
}

const destinationOf = (frame: Omit<VirtualService, 'destinations'>) =>
  fc
    .record({
      address: addressIn(frame.family),
      port: portNumber,
      // ipvsadm takes no more.
      weight: fc.integer({ min: 0, max: 65535 }),
      forwarding: fc.constantFrom('nat' as const, 'dr' as const, 'tunnel' as const),
      tunnel: fc.oneof(
        fc.constantFrom('ipip' as const, 'gre' as const).map((type) => ({ type, port: 0 })),
        portNumber.map((port) => ({ type: 'gue' as const, port })),
      ),
      upperThreshold: fc.nat(1000),
      lowerThreshold: fc.nat(1000),
    })
    .map(({ upperThreshold, lowerThreshold, forwarding, tunnel, port, ...rest }): Destination => {
      const kept = frame.port === 'any' ? 0 : frame.port
      const place = forwarding === 'nat' && frame.port !== 'any' ? port : kept
      return {
        ...rest,
        id: endpointText(rest.address, place),
        port: place,
        maxWeight: rest.weight,
        forwarding,
        tunnel: forwarding === 'tunnel' ? tunnel : null,
        maxConnections: 0,
        upperThreshold,
        lowerThreshold: lowerThreshold < upperThreshold ? lowerThreshold : 0,
        check: null,
      }
    })

const service = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom(...protocolNames.map(carrierOf)),
    place: fc.oneof(
      { weight: 6, arbitrary: portNumber },
      { weight: 1, arbitrary: fc.constant('any' as const) },
      { weight: 2, arbitrary: fc.constant('mark' as const) },
    ),
    fwmark: fc.integer({ min: 1, max: 0xffffffff }),
    scheduler: fc.constantFrom(...schedulers),
    onePacket: fc.boolean(),
    persistence: fc.option(
      fc.record({ timeout: fc.integer({ min: 1, max: 2_000_000 }), prefix: fc.integer({ min: 1, max: 32 }) }),
    ),
  })
  .chain((head) => fc.tuple(fc.constant(head), addressIn(head.family), flagsOf(head.scheduler)))
  .chain(([head, address, flags]) => {
    const marked = head.place === 'mark'
    const onePacket = head.onePacket && (head.protocol === 'udp' || marked) ? flagBit.onePacket : 0
    const frame = {
      id: '',
      address: marked ? '' : address,
      port: head.place === 'mark' ? 0 : head.place,
      protocol: marked ? ('tcp' as const) : head.protocol,
      fwmark: marked ? head.fwmark : 0,
      family: head.family,
      scheduler: head.scheduler,
      flags: flags | onePacket,
      // Any port goes with persistence only.
      persistence:
        head.place === 'any' ? (head.persistence ?? { timeout: 300, prefix: 32 }) : head.persistence,
      proxyProtocol: false,
      attach: null,
      ovn: null,
    }
    const named = { ...frame, id: endpointKey(frame) }
    return fc
      .uniqueArray(destinationOf(named), { maxLength: 4, selector: ({ id }) => id })
      .map((destinations): VirtualService => ({ ...named, destinations }))
  })

/** Services of all kinds, no two at one endpoint. */
function randomServices(seed: number, count: number): VirtualService[] {
  const many = fc.uniqueArray(service, { minLength: count, maxLength: count, selector: ({ id }) => id })
  return fc.sample(many, { seed, numRuns: 1 })[0] ?? []
}

/** What `ipvsadm -Sn` and `ipvsadm -Ln --thresholds` should say of a service: one line for itself and one for each destination. */
function rules(spec: VirtualService): string[] {
  const { address, fwmark, family, protocol, persistence } = spec
  const port = spec.port === 'any' ? 0 : spec.port
  const where =
    fwmark > 0
      ? `-f ${fwmark}${family === 6 ? ' -6' : ''}`
      : `${{ tcp: '-t', udp: '-u', sctp: '--sctp-service' }[carrierOf(protocol)]} ${endpointText(address, port)}`
  const whole = family === 4 ? 32 : 128
  const mask =
    persistence === null || persistence.prefix === whole ? '' : ` -M ${maskText(family, persistence.prefix)}`
  const names = flagTexts(spec)
  return [
    [
      `-A ${where} -s ${spec.scheduler}`,
      ...(persistence === null ? [] : [` -p ${persistence.timeout}${mask}`]),
      ...((spec.flags & flagBit.onePacket) === 0 ? [] : [' -o']),
      ...(names === '' ? [] : [` -b ${names}`]),
    ].join(''),
    ...spec.destinations.map((d) => {
      const tunnel =
        d.tunnel === null
          ? ''
          : ` --tun-type ${d.tunnel.type}${d.tunnel.type === 'gue' ? ` --tun-port ${d.tunnel.port}` : ''}${d.tunnel.type === 'ipip' ? '' : ' --tun-nocsum'}`
      const method = { nat: '-m', dr: '-g', tunnel: '-i' }[d.forwarding]
      return `-a ${where} -r ${endpointText(d.address, d.port)} ${method} -w ${d.weight}${tunnel}`
    }),
  ]
}

const maskText = (family: 4 | 6, prefix: number): string =>
  family === 6
    ? String(prefix)
    : [0, 8, 16, 24].map((at) => 256 - 2 ** (8 - Math.min(8, Math.max(0, prefix - at)))).join('.')

function flagTexts({ scheduler, flags }: VirtualService): string {
  const [first, second] =
    scheduler === 'sh' || scheduler === 'mh'
      ? [`${scheduler}-fallback`, `${scheduler}-port`]
      : ['flag-1', 'flag-2']
  const names = [
    [flagBit.fallback, first],
    [flagBit.port, second],
    [flagBit.third, 'flag-3'],
  ] as const
  return names.flatMap(([bit, name]) => ((flags & bit) === 0 ? [] : [name])).join(',')
}

const thresholdsOf = (spec: VirtualService): string[] =>
  spec.destinations.map((d) => `${d.id} ${d.upperThreshold} ${d.lowerThreshold}`)

const ipvsadm = (args: readonly string[], input = ''): string =>
  execFileSync('ipvsadm', args, { encoding: 'utf8', input, maxBuffer: 64 << 20 })

/** What is in one list and not in the other; empty where both have the same, in whatever order. */
function differing(found: readonly string[], expected: readonly string[]): string[] {
  const [a, b] = [new Set(found), new Set(expected)]
  // A few tell what is wrong.
  return [
    ...[...a]
      .filter((line) => !b.has(line))
      .slice(0, 3)
      .map((line) => `too much: ${line}`),
    ...[...b]
      .filter((line) => !a.has(line))
      .slice(0, 3)
      .map((line) => `missing:  ${line}`),
    ...(found.length === expected.length ? [] : [`${found.length} lines instead of ${expected.length}`]),
  ]
}

/** A service as text, the destinations sorted, what the kernel adds of itself left out. */
const canonical = (spec: VirtualService): string =>
  JSON.stringify(
    {
      ...spec,
      flags: spec.flags & ~flagBit.hashed,
      destinations: [...spec.destinations].sort((x, y) => (x.id < y.id ? -1 : 1)),
    },
    (_key, value: unknown) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)))
        : value,
  )

async function opened(): Promise<IpvsPlane> {
  const plane = new IpvsPlane()
  await plane.open(ledgerOver(new Map()))
  return plane
}

export const actor = {
  /** Programs random services and gives where `ipvsadm` sees others. */
  async torbToIpvsadm(seed: number, count: number): Promise<{ differences: string[]; lines: number }> {
    const specs = randomServices(seed, count)
    const plane = await opened()
    await plane.flush()
    const outcomes = await plane.apply(specs.map((after) => ({ key: after.id, before: null, after })))
    const refused = outcomes.flatMap((outcome) => (outcome.ok ? [] : [outcome.error.message]))
    const listed = ipvsadm(['-Sn'])
      .split('\n')
      .filter((line) => line !== '')
      // ipvsadm 1.31 prints marks as signed numbers.
      .map((line) => line.replace(/-f (-\d+)/, (_, mark: string) => `-f ${Number(mark) >>> 0}`))
    const thresholds = ipvsadm(['-Ln', '--thresholds'])
      .split('\n')
      .flatMap((line) => /^ {2}-> (\S+) +(\d+) +(\d+) +\d+ +\d+/.exec(line)?.slice(1, 4).join(' ') ?? [])
    await plane.close()
    return {
      differences: [
        ...refused.slice(0, 3),
        ...differing(listed, specs.flatMap(rules)),
        ...differing([...thresholds].sort(), specs.flatMap(thresholdsOf).sort()),
      ],
      lines: listed.length,
    }
  },

  /** Restores random services with `ipvsadm -R` and gives where Torb sees others. */
  async ipvsadmToTorb(seed: number, count: number): Promise<{ differences: string[]; services: number }> {
    const specs = randomServices(seed, count)
    ipvsadm(['-C'])
    const lines = specs.flatMap((spec) => {
      const [own = '', ...rest] = rules(spec)
      return [
        own,
        ...rest.map(
          (line, n) =>
            `${line} -x ${spec.destinations[n]?.upperThreshold} -y ${spec.destinations[n]?.lowerThreshold}`,
        ),
      ]
    })
    ipvsadm(['-R'], `${lines.join('\n')}\n`)
    const plane = await opened()
    const foreign = await plane.foreign()
    await plane.close()
    return { differences: differing(foreign.map(canonical), specs.map(canonical)), services: foreign.length }
  },

  /** Programs these services after a flush. @returns `ipvsadm -Sn` */
  async program(specs: readonly VirtualService[]): Promise<string> {
    const plane = await opened()
    await plane.flush()
    for (const outcome of await plane.apply(specs.map((after) => ({ key: after.id, before: null, after })))) {
      if (!outcome.ok) throw outcome.error
    }
    await plane.close()
    return ipvsadm(['-Sn'])
  },
}
