import { describe, expect, it } from 'vitest'
import { addressOf } from './addressText.ts'
import { attributes } from './attributes.ts'
import { readCaptures } from './captures.ts'
import { bytes, viewOf, Writer } from './codec.ts'
import { readGeneric } from './generic.ts'
import {
  noStatistics,
  type IpvsCommand,
  type IpvsDestination,
  type IpvsDestinationKey,
  type IpvsService,
  type IpvsServiceKey,
} from './ipvsEntries.ts'
import {
  commandAttributes,
  decodeDaemon,
  decodeDestination,
  decodeService,
  encodeCommand,
  encodeDaemon,
  type CommandValues,
} from './ipvsMessages.ts'
import { readAnswer, readMessages } from './message.ts'

const captures = readCaptures()
const hex = (value: Uint8Array) => Buffer.from(value).toString('hex')

const protocols = { tcp: 6, udp: 17, sctp: 132 }
function at(protocol: keyof typeof protocols, address: string, port: number): IpvsServiceKey {
  const family = address.includes(':') ? 10 : 2
  return { family, fwmark: 0, protocol: protocols[protocol], address: addressOf(address), port }
}
function service(key: IpvsServiceKey, scheduler: string, more: Partial<IpvsService> = {}): IpvsService {
  return { key, scheduler, flags: 0, timeout: 0, prefix: key.family === 2 ? 32 : 128, engine: '', ...more }
}
function place(address: string, port: number): IpvsDestinationKey {
  return { family: address.includes(':') ? 10 : 2, address: addressOf(address), port }
}
function destination(key: IpvsDestinationKey, more: Partial<IpvsDestination> = {}): IpvsDestination {
  return {
    key,
    forwarding: 0,
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnelType: 0,
    tunnelPort: 0,
    tunnelFlags: 0,
    ...more,
  }
}
const masquerading = 0
const tunnel = 2
const directRoute = 3
const gue = 1
const gre = 2

const web = at('tcp', '10.0.0.1', 80)
const web6 = at('tcp', 'fd00::1', 443)
const mark: IpvsServiceKey = { family: 2, fwmark: 7 }

/** Command and attributes of what a program sent last. */
function sentBy(command: string) {
  const [message] = readMessages(captures.get(command)?.sent.at(-1) ?? new Uint8Array())
  if (message === undefined) throw new Error(`there is no capture of ${command}`)
  return payloadOf(message.payload)
}

const payloadOf = (payload: DataView) => ({
  command: payload.getUint8(0),
  attributes: new Uint8Array(payload.buffer, payload.byteOffset + 4, payload.byteLength - 4),
})

function encoded(values: CommandValues): Uint8Array {
  const out = new Writer()
  commandAttributes.write(out, values)
  return out.written()
}

/** All commands' attributes without looking into them. */
const parts = attributes({ service: [1, bytes], destination: [2, bytes], daemon: [3, bytes] })
const partsOf = (value: Uint8Array) => parts.read(viewOf(value), 0, value.length) ?? {}

describe('what ipvsadm sends', () => {
  const same: readonly (readonly [string, IpvsCommand])[] = [
    ['-A -t 10.0.0.1:80 -s rr', { do: 'add-service', service: service(web, 'rr') }],
    [
      '-A -u 10.0.0.1:53 -s sh -b sh-fallback,sh-port -o',
      { do: 'add-service', service: service(at('udp', '10.0.0.1', 53), 'sh', { flags: 0x1c }) },
    ],
    [
      '-A --sctp-service 10.0.0.1:9899 -s wlc',
      { do: 'add-service', service: service(at('sctp', '10.0.0.1', 9899), 'wlc') },
    ],
    ['-A -t [fd00::1]:443 -s wrr', { do: 'add-service', service: service(web6, 'wrr') }],
    [
      '-A -u [fd00::1]:53 -s mh -b mh-fallback,mh-port',
      { do: 'add-service', service: service(at('udp', 'fd00::1', 53), 'mh', { flags: 0x18 }) },
    ],
    ['-A -f 7 -s wlc', { do: 'add-service', service: service(mark, 'wlc') }],
    ['-A -f 7 -6 -s rr', { do: 'add-service', service: service({ family: 10, fwmark: 7 }, 'rr') }],
    [
      '-A -t 10.0.0.1:8080 -s wlc -p 600 -M 255.255.255.0',
      {
        do: 'add-service',
        service: service(at('tcp', '10.0.0.1', 8080), 'wlc', { flags: 1, timeout: 600, prefix: 24 }),
      },
    ],
    [
      '-A -t [fd00::1]:8080 -s wlc -p 300 -M 64',
      {
        do: 'add-service',
        service: service(at('tcp', 'fd00::1', 8080), 'wlc', { flags: 1, timeout: 300, prefix: 64 }),
      },
    ],
    [
      '-A -u 10.0.0.1:5060 -s rr -p 60 -o --pe sip',
      {
        do: 'add-service',
        service: service(at('udp', '10.0.0.1', 5060), 'rr', { flags: 5, timeout: 60, engine: 'sip' }),
      },
    ],
    [
      '-E -t 10.0.0.1:80 -s wrr -p 120',
      { do: 'set-service', service: service(web, 'wrr', { flags: 1, timeout: 120 }) },
    ],
    ['-Z', { do: 'zero-all' }],
    ['-C', { do: 'flush' }],
  ]
  it.each(same)('ipvsadm %s: byte for byte', (line, command) => {
    const ours = encodeCommand(command)
    const theirs = sentBy(`ipvsadm ${line}`)
    expect(ours.command).toBe(theirs.command)
    expect(hex(encoded(ours.values))).toBe(hex(theirs.attributes))
  })

  // Where the kernel needs no more than the service's key, it reads no more (ip_vs_ctl.c: ip_vs_genl_set_cmd); ipvsadm sends
  // the rest of an empty service behind it, and of a destination to delete all its fields.
  const keyed: readonly (readonly [string, IpvsCommand])[] = [
    [
      '-a -t 10.0.0.1:80 -r 10.0.1.1:8000 -m -w 3',
      {
        do: 'add-destination',
        key: web,
        destination: destination(place('10.0.1.1', 8000), { forwarding: masquerading, weight: 3 }),
      },
    ],
    [
      '-a -t 10.0.0.1:80 -r 10.0.1.2 -g',
      {
        do: 'add-destination',
        key: web,
        destination: destination(place('10.0.1.2', 80), { forwarding: directRoute }),
      },
    ],
    [
      '-a -t 10.0.0.1:80 -r 10.0.1.3:80 -i -w 0 -x 100 -y 50',
      {
        do: 'add-destination',
        key: web,
        destination: destination(place('10.0.1.3', 80), {
          forwarding: tunnel,
          weight: 0,
          upperThreshold: 100,
          lowerThreshold: 50,
        }),
      },
    ],
    [
      '-a -t 10.0.0.1:80 -r 10.0.1.4:80 -i --tun-type gue --tun-port 6080 --tun-csum',
      {
        do: 'add-destination',
        key: web,
        destination: destination(place('10.0.1.4', 80), {
          forwarding: tunnel,
          tunnelType: gue,
          tunnelPort: 6080,
          tunnelFlags: 1,
        }),
      },
    ],
    [
      '-a -t 10.0.0.1:80 -r 10.0.1.5:80 -i --tun-type gre --tun-csum',
      {
        do: 'add-destination',
        key: web,
        destination: destination(place('10.0.1.5', 80), {
          forwarding: tunnel,
          tunnelType: gre,
          tunnelFlags: 1,
        }),
      },
    ],
    [
      '-a -t 10.0.0.1:80 -r [fd00::5]:80 -i',
      {
        do: 'add-destination',
        key: web,
        destination: destination(place('fd00::5', 80), { forwarding: tunnel }),
      },
    ],
    [
      '-a -t [fd00::1]:443 -r [fd00::2]:8443 -m -w 65535',
      {
        do: 'add-destination',
        key: web6,
        destination: destination(place('fd00::2', 8443), { weight: 65_535 }),
      },
    ],
    [
      '-a -f 7 -r 10.0.1.1:0 -g',
      {
        do: 'add-destination',
        key: mark,
        destination: destination(place('10.0.1.1', 0), { forwarding: directRoute }),
      },
    ],
    [
      '-e -t 10.0.0.1:80 -r 10.0.1.1:8000 -m -w 5',
      {
        do: 'set-destination',
        key: web,
        destination: destination(place('10.0.1.1', 8000), { weight: 5 }),
      },
    ],
    [
      '-d -t 10.0.0.1:80 -r 10.0.1.1:8000',
      { do: 'delete-destination', key: web, destination: place('10.0.1.1', 8000) },
    ],
    [
      '-d -t [fd00::1]:443 -r [fd00::2]:8443',
      { do: 'delete-destination', key: web6, destination: place('fd00::2', 8443) },
    ],
    ['-Z -t 10.0.0.1:80', { do: 'zero', key: web }],
    ['-D -t 10.0.0.1:80', { do: 'delete-service', key: web }],
    ['-D -f 7', { do: 'delete-service', key: mark }],
  ]
  it.each(keyed)('ipvsadm %s: the key of the service, the rest byte for byte', (line, command) => {
    const { command: number, values } = encodeCommand(command)
    const theirs = sentBy(`ipvsadm ${line}`)
    expect(number).toBe(theirs.command)
    const ours = partsOf(encoded(values))
    const sent = partsOf(theirs.attributes)
    const key = hex(ours.service ?? new Uint8Array())
    expect(key).not.toBe('')
    expect(hex(sent.service ?? new Uint8Array()).slice(0, key.length)).toBe(key)
    const rest = hex(ours.destination ?? new Uint8Array())
    const theirRest = hex(sent.destination ?? new Uint8Array())
    if (command.do === 'delete-destination') {
      expect(theirRest.slice(0, rest.length)).toBe(rest)
    } else {
      expect(theirRest).toBe(rest)
    }
  })

  it.each([
    [
      '--start-daemon master --mcast-interface d0 --syncid 5',
      { state: 'master', interface: 'd0', syncId: 5, maxLength: 0, group: '', port: 0, ttl: 0 },
    ],
    [
      '--start-daemon backup --mcast-interface d0 --syncid 7 --sync-maxlen 1400 --mcast-group 224.0.0.82 --mcast-port 8849 --mcast-ttl 2',
      {
        state: 'backup',
        interface: 'd0',
        syncId: 7,
        maxLength: 1400,
        group: '224.0.0.82',
        port: 8849,
        ttl: 2,
      },
    ],
  ] as const)('ipvsadm %s: byte for byte', (line, daemon) => {
    expect(hex(encoded(encodeDaemon(daemon)))).toBe(hex(sentBy(`ipvsadm ${line}`).attributes))
  })

  it.each(['master', 'backup'] as const)('ipvsadm --stop-daemon %s: its state counts', (state) => {
    const ours = hex(partsOf(encoded(encodeDaemon({ state }))).daemon ?? new Uint8Array())
    const theirs = partsOf(sentBy(`ipvsadm --stop-daemon ${state}`).attributes).daemon
    expect(hex(theirs ?? new Uint8Array()).slice(0, ours.length)).toBe(ours)
  })

  it('ipvsadm --set 900 120 300: byte for byte', () => {
    const ours = encoded({ tcp: 900, tcpfin: 120, udp: 300 })
    expect(hex(ours)).toBe(hex(sentBy('ipvsadm --set 900 120 300').attributes))
  })
})

/** The answers to a command, as values. */
function* receivedBy(command: string): Generator<CommandValues> {
  for (const datagram of captures.get(command)?.received ?? []) {
    for (const message of readMessages(datagram)) {
      if (message.type >= 16) yield readGeneric(message, commandAttributes) ?? {}
    }
  }
}

describe('what the kernel tells ipvsadm', () => {
  it('of services, with the flag that says that they are in its table', () => {
    const seen = [...receivedBy('ipvsadm -Ln')].map(decodeService).filter((item) => item !== undefined)
    const expected = [
      service(web, 'wrr', { flags: 3, timeout: 120 }),
      service(at('tcp', '10.0.0.1', 8080), 'wlc', { flags: 3, timeout: 600, prefix: 24 }),
      service(at('udp', '10.0.0.1', 53), 'sh', { flags: 0x1e }),
      service(at('udp', '10.0.0.1', 5060), 'rr', { flags: 7, timeout: 60, engine: 'sip' }),
      service(at('sctp', '10.0.0.1', 9899), 'wlc', { flags: 2 }),
      service(web6, 'wrr', { flags: 2 }),
      service(at('tcp', 'fd00::1', 8080), 'wlc', { flags: 3, timeout: 300, prefix: 64 }),
      service(at('udp', 'fd00::1', 53), 'mh', { flags: 0x1a }),
      service(mark, 'wlc', { flags: 2 }),
      service({ family: 10, fwmark: 7 }, 'rr', { flags: 2 }),
    ].map((item) => ({ ...item, statistics: noStatistics }))
    expect(seen).toHaveLength(expected.length)
    expect(seen).toEqual(expect.arrayContaining(expected))
  })

  it('of destinations, the newest first', () => {
    const counts = { activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 }
    const seen = [...receivedBy('ipvsadm -Ln -t 10.0.0.1:80')]
      .map((values) => decodeDestination(values, 2))
      .filter((item) => item !== undefined)
    expect(seen).toEqual(
      [
        destination(place('10.0.1.5', 80), { forwarding: tunnel, tunnelType: gre, tunnelFlags: 1 }),
        destination(place('10.0.1.4', 80), {
          forwarding: tunnel,
          tunnelType: gue,
          tunnelPort: 6080,
          tunnelFlags: 1,
        }),
        destination(place('10.0.1.3', 80), {
          forwarding: tunnel,
          weight: 0,
          upperThreshold: 100,
          lowerThreshold: 50,
        }),
        destination(place('10.0.1.2', 80), { forwarding: directRoute }),
        destination(place('10.0.1.1', 8000), { weight: 5 }),
      ].map((item) => ({ ...item, ...counts, statistics: noStatistics })),
    )
  })

  it('of daemons, with what it chose itself', () => {
    expect([...receivedBy('ipvsadm -Ln --daemon')].map(decodeDaemon)).toEqual([
      {
        state: 'master',
        interface: 'd0',
        syncId: 5,
        maxLength: 1472,
        group: '224.0.0.81',
        port: 8848,
        ttl: 1,
      },
      {
        state: 'backup',
        interface: 'd0',
        syncId: 7,
        maxLength: 1400,
        group: '224.0.0.82',
        port: 8849,
        ttl: 2,
      },
    ])
  })

  it('of time-outs', () => {
    expect([...receivedBy('ipvsadm -Ln --timeout')]).toEqual([{ tcp: 900, tcpfin: 120, udp: 300 }])
  })

  it('why it refuses', () => {
    const [datagram] = captures.get('ipvsadm -A -t 10.0.0.9:80 -s nosuch')?.received ?? []
    expect(readMessages(datagram ?? new Uint8Array()).map(readAnswer)).toEqual([{ errno: 2, text: '' }])
  })
})
