import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { umlMissing } from '../../lab/uml/install.ts'
import { bootUml, type Uml } from '../../lab/uml/uml.ts'
import { destination, virtualService } from '../../src/planes/ipvs/rig.ts'
import type { Destination, VirtualService } from '../../src/planes/plane.ts'
import type { actor } from './ipvs.table.actor.ts'

/** What the ipvs plane does to a kernel's table, beside what the conformance suite shows with packets. */

const missing = umlMissing()
if (missing !== null) console.log(`skipped: the ipvs plane and a kernel's table: ${missing}`)

const web = virtualService({ destinations: [destination(1), destination(2)] })
const add = (after: VirtualService) => ({ key: after.id, before: null, after })
const withBackend = (fields: Partial<Destination>): VirtualService =>
  virtualService({ destinations: [destination(1, fields)] })

describe.skipIf(missing !== null)('the ipvs plane and a kernel’s table', () => {
  let uml: Uml<typeof actor>
  let guest: typeof actor

  beforeAll(async () => {
    uml = await bootUml<typeof actor>({
      actor: fileURLToPath(new URL('ipvs.table.actor.ts', import.meta.url)),
      modules: ['dummy', 'ip_vs'],
      autoload: true,
      setup: [
        'bb ip link add dummy0 type dummy',
        'bb ip address add 10.8.255.1/16 dev dummy0',
        'bb ip address add 10.9.0.1/32 dev dummy0',
        'bb ip link set dummy0 up multicast on',
      ],
    })
    guest = uml.guest
  })
  afterAll(() => uml.kill())
  afterEach(() => guest.ipvsadm('-C'))

  const opened = async (notes: readonly (readonly [string, string])[] = []): Promise<void> =>
    guest.open(notes)
  const saved = async (): Promise<string[]> => (await guest.ipvsadm('-Sn')).trim().split('\n').sort()

  it('finds out what the kernel has, loads it, and leaves no trace of the search', async () => {
    const can = await guest.can()
    expect([...can.schedulers].sort()).toEqual('dh fo lblc lblcr lc mh nq ovf rr sed sh wlc wrr'.split(' '))
    expect(can.tunnels).toEqual(['ipip', 'gue', 'gre'])
    expect(can.families).toEqual([4, 6])
    expect(await saved()).toEqual([''])
  })

  it('undoes a change of which one command is refused, at every position, and does the others', async () => {
    const turns = await guest.refuseEverywhere()
    expect(turns).toHaveLength(11)
    for (const { position, outcomes, held, expected } of turns) {
      expect(
        outcomes.filter(({ ok }) => !ok),
        `position ${position}`,
      ).toHaveLength(1)
      expect(held, `position ${position}`).toEqual(expected)
    }
  })

  it('sends one message for one weight', async () => {
    await opened()
    await guest.apply([add(web)])
    const before = await guest.sent()
    const after = { ...web, destinations: [destination(1, { weight: 3 }), destination(2)] }
    expect(await guest.apply([{ key: 'web', before: web, after }])).toEqual([{ ok: true }])
    const { commands, calls } = await guest.sent()
    expect(commands.slice(before.commands.length)).toEqual(['set-destination'])
    expect(calls - before.calls).toBe(1)
    expect(await saved()).toContain('-a -t 10.9.0.1:80 -r 10.8.0.1:80 -m -w 3')
  })

  it('programs a thousand services of ten backends in two calls', async () => {
    await opened()
    const specs = Array.from({ length: 1000 }, (_, n) => {
      const destinations = Array.from({ length: 10 }, (__, host) => destination(host + 1))
      return virtualService({ id: `s${n}`, port: n + 1, destinations })
    })
    const programmed = await guest.program(specs)
    const { commands, calls } = await guest.sent()
    expect([commands.length, calls]).toEqual([11_000, 2])
    const observed = await guest.observing()
    console.log(
      `1,000 x 10: programmed in ${Math.round(programmed)} ms, observed in ${Math.round(observed)} ms`,
    )
    expect(await saved()).toHaveLength(11_000)
  })

  it('leaves strangers alone, and lists them', async () => {
    await guest.ipvsadm('-A', '-t', '10.9.0.1:80', '-s', 'wrr', '-p', '60', '-M', '255.255.255.0')
    await guest.ipvsadm('-a', '-t', '10.9.0.1:80', '-r', '10.8.0.9:80', '-i', '-w', '5')
    await guest.ipvsadm('-A', '-f', '9', '-6', '-s', 'rr')
    const before = await saved()
    await opened()
    const outcomes = await guest.apply([add(web), add({ ...web, id: 'other', port: 81 })])
    expect(outcomes.map(({ ok }) => ok)).toEqual([false, true])
    expect(outcomes[0]).toMatchObject({
      code: 'refused',
      message: expect.stringContaining('`ipvsadm -D -t 10.9.0.1:80`'),
    })
    await guest.zero(null)
    await guest.withdraw(['web', 'other'])
    expect(await saved()).toEqual(before)
    expect((await guest.foreign(null)).map(({ id }) => id).sort()).toEqual(['fwmark 9', 'tcp 10.9.0.1:80'])
    expect(await guest.foreign(['tcp 10.9.0.1:80'])).toEqual([
      virtualService({
        id: 'tcp 10.9.0.1:80',
        scheduler: 'wrr',
        persistence: { timeout: 60, prefix: 24 },
        destinations: [
          destination(9, {
            id: '10.8.0.9:80',
            weight: 5,
            maxWeight: 5,
            forwarding: 'tunnel',
            tunnel: { type: 'ipip', port: 0 },
          }),
        ],
      }),
    ])
    await guest.flush()
    expect(await saved()).toEqual([''])
  })

  it('owns what it takes over, without a command where it is equal', async () => {
    await opened()
    await guest.ipvsadm('-A', '-t', '10.9.0.1:80', '-s', 'rr')
    await guest.ipvsadm('-a', '-t', '10.9.0.1:80', '-r', '10.8.0.1:80', '-m')
    await guest.ipvsadm('-a', '-t', '10.9.0.1:80', '-r', '10.8.0.2:80', '-m')
    const [found = null] = await guest.foreign(['tcp 10.9.0.1:80'])
    expect(await guest.apply([{ key: 'web', before: found, after: web }])).toEqual([{ ok: true }])
    expect((await guest.sent()).commands).toEqual([])
    expect(await guest.observe('all')).toEqual([['web', web]])
    await guest.withdraw(['web'])
    expect(await saved()).toEqual([''])
  })

  it('sees what ipvsadm does behind its back', async () => {
    await opened()
    await guest.apply([add(web)])
    const seen = async (): Promise<VirtualService | undefined> => (await guest.observe(['web']))[0]?.[1]
    expect(await seen()).toEqual(web)
    await guest.ipvsadm('-e', '-t', '10.9.0.1:80', '-r', '10.8.0.1:80', '-m', '-w', '7', '-x', '9', '-y', '4')
    expect((await seen())?.destinations[0]).toEqual(
      destination(1, { weight: 7, upperThreshold: 9, lowerThreshold: 4 }),
    )
    await guest.ipvsadm('-d', '-t', '10.9.0.1:80', '-r', '10.8.0.2:80')
    await guest.ipvsadm('-a', '-t', '10.9.0.1:80', '-r', '10.8.0.3', '-g')
    expect((await seen())?.destinations.map(({ id, forwarding }) => [id, forwarding])).toEqual([
      ['b1', 'nat'],
      ['10.8.0.3:80', 'dr'],
    ])
    await guest.ipvsadm('-E', '-t', '10.9.0.1:80', '-s', 'sh', '-b', 'sh-port', '-p', '99')
    expect(await seen()).toMatchObject({
      scheduler: 'sh',
      flags: 0x10,
      persistence: { timeout: 99, prefix: 32 },
    })
    await guest.ipvsadm('-D', '-t', '10.9.0.1:80')
    expect(await seen()).toBeUndefined()
    const after = { ...web, destinations: [destination(1, { weight: 2 }), destination(2)] }
    expect(await guest.apply([{ key: 'web', before: web, after }])).toMatchObject([
      { ok: false, message: expect.stringContaining('(ESRCH): somebody removed the service') },
    ])
    // Removing what is gone already is no failure.
    expect(await guest.apply([{ key: 'web', before: web, after: null }])).toEqual([{ ok: true }])
  })

  it('reads its own back after a restart, a mark in whichever family', async () => {
    await opened()
    const mark = virtualService({ id: 'mark', address: '', port: 0, fwmark: 7, family: 6 })
    const six = virtualService({
      id: 'six',
      address: '2001:db8::1',
      family: 6,
      port: 'any',
      persistence: { timeout: 30, prefix: 64 },
      destinations: [destination(1, { id: '[2001:db8::2]:0', address: '2001:db8::2', port: 0 })],
    })
    expect(await guest.apply([add(mark), add(six)])).toEqual([{ ok: true }, { ok: true }])
    await opened([
      ['mark', 'fwmark 7'],
      ['six', 'tcp [2001:db8::1]:any'],
    ])
    expect(await guest.observe('all')).toEqual([
      ['mark', { ...mark, id: 'fwmark 7' }],
      ['six', { ...six, id: 'tcp [2001:db8::1]:any' }],
    ])
    await guest.withdraw(['mark', 'six'])
    expect(await saved()).toEqual([''])
  })

  it('makes the new family of a mark before the old one goes', async () => {
    await opened()
    const mark = virtualService({ id: 'mark', address: '', port: 0, fwmark: 7 })
    const six = {
      ...mark,
      family: 6 as const,
      destinations: [destination(1, { address: '2001:db8::2' })],
    }
    await guest.apply([add(mark)])
    expect(await guest.apply([{ key: 'mark', before: mark, after: six }])).toEqual([{ ok: true }])
    expect((await guest.sent()).commands.slice(1)).toEqual([
      'add-service',
      'add-destination',
      'delete-service',
    ])
    expect(await guest.observe('all')).toEqual([['mark', six]])
  })

  it.each<[string, VirtualService, string]>([
    [
      'a scheduler that is no module',
      virtualService({ scheduler: 'twos' }),
      '(ENOENT): this kernel has no scheduler twos; load it ("modprobe ip_vs_twos")',
    ],
    [
      'a multicast address',
      withBackend({ address: '224.0.0.1' }),
      '(EINVAL): 224.0.0.1 is no address of one host',
    ],
    [
      'nat to another family',
      withBackend({ address: '2001:db8::1' }),
      '(EINVAL): the families of service and backend differ',
    ],
    [
      'a lower threshold above the upper one',
      withBackend({ upperThreshold: 5, lowerThreshold: 6 }),
      '(ERANGE): its weight is negative or its lower threshold is above',
    ],
    [
      'gue without a port',
      withBackend({ forwarding: 'tunnel', tunnel: { type: 'gue', port: 0 } }),
      '(EINVAL): a tunnel of type gue needs a port',
    ],
    [
      'a prefix of 0 with IPv6',
      virtualService({ address: '2001:db8::1', family: 6, persistence: { timeout: 9, prefix: 0 } }),
      '(EINVAL): the netmask of its persistence is out of range',
    ],
  ])('says why the kernel refuses %s, and leaves nothing', async (_, spec, cause) => {
    await opened()
    expect(await guest.apply([add(spec)])).toMatchObject([
      { ok: false, code: 'refused', message: expect.stringContaining(cause) },
    ])
    expect(await saved()).toEqual([''])
  })

  it('explains by the connections and the persistence that the kernel has', async () => {
    await opened()
    await guest.listen('10.8.255.1', 9000)
    const here = destination(1, { id: 'here', address: '10.8.255.1', port: 9000 })
    const sticky = virtualService({
      persistence: { timeout: 300, prefix: 16 },
      destinations: [here, destination(2)],
    })
    // The first connection has no choice; those after it have, but persistence decides.
    const first = { ...sticky, destinations: [here] }
    await guest.apply([add(first)])
    const flow = { protocol: 'tcp', destination: '10.9.0.1', destinationPort: 80 } as const
    const client = await guest.connect('10.9.0.1', 80)
    await guest.apply([{ key: 'web', before: first, after: sticky }])
    const known = await guest.explain({ ...flow, ...client })
    expect(known).toMatchObject({ service: 'web', backend: 'here' })
    expect(known.steps[1]).toMatch(
      /^This connection is in the table \(ESTABLISHED, \d+ s left\) and stays at 10\.8\.255\.1:9000\.$/,
    )
    const another = await guest.explain({ ...flow, ...client, sourcePort: 1 })
    expect(another).toMatchObject({ service: 'web', backend: 'here' })
    expect(another.steps[1]).toMatch(/^Persistence keeps 10\.8\.0\.0\/16 at 10\.8\.255\.1:9000 for \d+ s\.$/)
    const stranger = await guest.explain({ ...flow, source: '10.7.0.1', sourcePort: 1 })
    expect(stranger).toMatchObject({ service: 'web', backend: null })
  })

  it('sets the time-outs, the settings of the kernel and the connection-sync daemons', async () => {
    const daemon = (state: 'master' | 'backup', syncId: number) => ({
      state,
      interface: 'dummy0',
      syncId,
      maxLength: 0,
      group: '',
      port: 0,
      ttl: 0,
    })
    const facts = await guest.facts({ udp: 77, tcpfin: 33 }, [daemon('master', 5), daemon('backup', 6)])
    expect(facts).toMatchObject({
      version: '1.2.1',
      timeouts: { tcp: 900, tcpfin: 33, udp: 77 },
      sync_daemons: [
        { state: 'master', interface: 'dummy0', syncId: 5 },
        { state: 'backup', interface: 'dummy0', syncId: 6 },
      ],
      sysctls: { expire_nodest_conn: 1, expire_quiescent_template: 1, conn_reuse_mode: 1 },
    })
    expect(await guest.ipvsadm('-l', '--timeout')).toContain('tcp tcpfin udp): 900 33 77')
    // Asked for otherwise it is started anew; not asked for it is left alone.
    const other = await guest.facts({}, [daemon('master', 9)])
    expect(other['sync_daemons']).toMatchObject([{ syncId: 9 }, { syncId: 6 }])
    await expect(guest.facts({}, [{ ...daemon('master', 1), interface: 'nowhere' }])).rejects.toThrow(
      'there is no interface nowhere',
    )
    await expect(guest.facts({ udp: 2 ** 31 - 1 }, [])).rejects.toThrow(
      'the time-outs of IPVS cannot be set (EINVAL)',
    )
  })
})
