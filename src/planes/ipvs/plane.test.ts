import { constants } from 'node:os'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { IpvsCommand } from '../../kernel/netlink/ipvsEntries.ts'
import type { VirtualService } from '../plane.ts'
import { IpvsPlane } from './plane.ts'
import { failure, MemoryIpvs } from './memoryIpvs.ts'
import { contents, destination, openOver, refuseEverywhere, virtualService } from './rig.ts'

const web = virtualService({ destinations: [destination(1), destination(2)] })

const observed = async (plane: IpvsPlane, scope: 'all' | readonly string[] = 'all') =>
  new Map(await Array.fromAsync(plane.observe(scope)))

/** States of one service that the table in memory takes. */
const anyState = fc.option(
  fc
    .record({
      scheduler: fc.constantFrom('rr' as const, 'wrr' as const, 'sh' as const),
      flags: fc.constantFrom(0, 0x08, 0x10),
      port: fc.constantFrom(80, 81),
      persistence: fc.option(
        fc.record({ timeout: fc.constantFrom(60, 90), prefix: fc.constantFrom(24, 32) }),
      ),
      destinations: fc.uniqueArray(fc.record({ host: fc.integer({ min: 1, max: 5 }), weight: fc.nat(2) }), {
        selector: ({ host }) => host,
      }),
    })
    .map(({ destinations, ...fields }) =>
      virtualService({
        ...fields,
        destinations: destinations.map(({ host, weight }) => destination(host, { weight })),
      }),
    ),
)

/** Does the first of the commands and then does not answer. */
class BreakingIpvs extends MemoryIpvs {
  breaks = false

  override execute(commands: readonly IpvsCommand[]): (Error | null)[] {
    if (!this.breaks) return super.execute(commands)
    super.execute(commands.slice(0, 1))
    throw failure('recv', constants.errno.EAGAIN)
  }
}

describe('IpvsPlane', () => {
  it('leads from any state to any other with what differs, and reads it back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyState, { maxLength: 6 }), async (states) => {
        const { plane } = await openOver(new MemoryIpvs())
        let before: VirtualService | null = null
        for (const after of states) {
          expect(await plane.apply([{ key: 'web', before, after }])).toEqual([{ ok: true }])
          expect((await observed(plane)).get('web') ?? null).toEqual(after)
          before = after
        }
      }),
    )
  })

  it('sends one command for one weight, and none for what the kernel does not keep', async () => {
    const { plane, commands, calls } = await openOver(new MemoryIpvs())
    await plane.apply([{ key: 'web', before: null, after: web }])
    commands.length = 0
    const before = calls()
    const after = { ...web, destinations: [destination(1, { weight: 3 }), destination(2)] }
    await plane.apply([{ key: 'web', before: web, after }])
    expect(commands.map((command) => command.do)).toEqual(['set-destination'])
    expect(calls() - before).toBe(1)
    await plane.apply([{ key: 'web', before: after, after: structuredClone(after) }])
    expect(commands).toHaveLength(1)
  })

  it('programs a thousand services in two calls', async () => {
    const { plane, commands, calls } = await openOver(new MemoryIpvs())
    const changes = Array.from({ length: 1000 }, (_, n) => {
      const id = `s${n}`
      const destinations = Array.from({ length: 10 }, (_, host) => destination(host + 1))
      return { key: id, before: null, after: virtualService({ id, port: n + 1, destinations }) }
    })
    expect((await plane.apply(changes)).every(({ ok }) => ok)).toBe(true)
    expect(commands).toHaveLength(11_000)
    expect(calls()).toBe(2)
  })

  it('undoes a change of which one command is refused, at every position, and does the others', async () => {
    const turns = await refuseEverywhere(new MemoryIpvs())
    expect(turns).toHaveLength(11)
    for (const { position, outcomes, held, expected } of turns) {
      expect(
        outcomes.filter(({ ok }) => !ok),
        `position ${position}`,
      ).toHaveLength(1)
      expect(held, `position ${position}`).toEqual(expected)
    }
  })

  it('goes on from what the kernel holds after a change that could not be taken back', async () => {
    for (let position = 0; position < 4; position++) {
      const ipvs = new MemoryIpvs()
      let broken = false
      const { plane, commands } = await openOver(ipvs, (index) => broken && index >= position)
      await plane.apply([{ key: 'web', before: null, after: web }])
      commands.length = 0
      broken = true
      const wished = {
        ...web,
        scheduler: 'wrr' as const,
        destinations: [destination(1, { weight: 9 }), destination(3)],
      }
      const [outcome] = await plane.apply([{ key: 'web', before: web, after: wished }])
      expect(outcome?.ok).toBe(false)
      broken = false
      const again = await plane.apply([{ key: 'web', before: web, after: wished }])
      expect(again).toEqual([{ ok: true }])
      expect((await observed(plane)).get('web')).toEqual(wished)
      const clean = new MemoryIpvs()
      await (await openOver(clean)).plane.apply([{ key: 'web', before: null, after: wished }])
      expect(contents(ipvs)).toEqual(contents(clean))
    }
  })

  it('says that a change could not be taken back, and keeps what it made as its own', async () => {
    const ipvs = new MemoryIpvs()
    let broken = true
    const { plane } = await openOver(ipvs, (index) => broken && index > 0)
    const [outcome] = await plane.apply([{ key: 'web', before: null, after: web }])
    expect(outcome).toMatchObject({ ok: false, error: { code: 'refused' } })
    expect(outcome?.ok === false && outcome.error.message).toContain('could not be taken back')
    broken = false
    expect([...(await observed(plane)).keys()]).toEqual(['web'])
    await plane.withdraw(['web'])
    expect(ipvs.services()).toEqual([])
  })

  it('goes on from what the kernel holds after it did not answer', async () => {
    const ipvs = new BreakingIpvs()
    const { plane } = await openOver(ipvs)
    await plane.apply([{ key: 'web', before: null, after: web }])
    const wished = { ...web, destinations: [destination(1, { weight: 9 }), destination(3)] }
    ipvs.breaks = true
    await expect(plane.apply([{ key: 'web', before: web, after: wished }])).rejects.toThrow('recv')
    ipvs.breaks = false
    expect(await plane.apply([{ key: 'web', before: web, after: wished }])).toEqual([{ ok: true }])
    expect((await observed(plane)).get('web')).toEqual(wished)
  })

  it('touches no stranger at its endpoint, not even for a moment', async () => {
    const ipvs = new MemoryIpvs()
    const other = await openOver(ipvs)
    await other.plane.apply([{ key: 'theirs', before: null, after: virtualService({ id: 'theirs' }) }])
    const before = contents(ipvs)
    const { plane, commands } = await openOver(ipvs)
    const [outcome] = await plane.apply([{ key: 'web', before: null, after: web }])
    expect(outcome?.ok === false && outcome.error.message).toBe(
      "service web: IPVS refused to add tcp 10.9.0.1:80 (EEXIST): somebody else's service is there; " +
        'remove it (`ipvsadm -D -t 10.9.0.1:80`), or start Torb with --adopt',
    )
    expect(commands.map((command) => command.do)).toEqual(['add-service'])
    await plane.withdraw(['web'])
    await plane.zero()
    expect(commands).toHaveLength(1)
    expect(contents(ipvs)).toEqual(before)
    expect(await observed(plane)).toEqual(new Map())
    expect((await plane.foreign()).map(({ id }) => id)).toEqual(['tcp 10.9.0.1:80'])
  })

  it('takes over an equal stranger without a command, and owns it then', async () => {
    const ipvs = new MemoryIpvs()
    await (
      await openOver(ipvs)
    ).plane.apply([{ key: 'theirs', before: null, after: { ...web, id: 'theirs' } }])
    const { plane, commands } = await openOver(ipvs)
    const [found] = await plane.foreign(['tcp 10.9.0.1:80', 'tcp 10.9.0.1:81'])
    expect(found?.destinations.map(({ id }) => id)).toEqual(['10.8.0.1:80', '10.8.0.2:80'])
    expect(await plane.apply([{ key: 'web', before: found ?? null, after: web }])).toEqual([{ ok: true }])
    expect(commands).toEqual([])
    expect(await plane.foreign()).toEqual([])
    expect((await observed(plane, ['web', 'nobody'])).get('web')).toEqual(web)
    await plane.withdraw(['web'])
    expect(ipvs.services()).toEqual([])
  })

  it('knows its own by the ledger after a restart, a mark in whichever family', async () => {
    const ipvs = new MemoryIpvs()
    const first = await openOver(ipvs)
    const mark = virtualService({ id: 'mark', fwmark: 7, address: '', port: 0, family: 6 })
    const made = [web, mark].map((after) => ({ key: after.id, before: null, after }))
    await first.plane.apply(made)
    const notes = new Map([
      ['web', 'tcp 10.9.0.1:80'],
      ['mark', 'fwmark 7'],
      ['gone', 'udp 10.9.0.9:53'],
    ])
    const { plane } = await openOver(ipvs, () => false, notes)
    const held = await observed(plane)
    expect([...held.keys()]).toEqual(['web', 'mark'])
    expect(held.get('mark')).toEqual({ ...mark, id: 'fwmark 7' })
    expect(await plane.foreign()).toEqual([])
    await plane.withdraw(['mark', 'gone'])
    expect(ipvs.services()).toHaveLength(1)
  })

  it('gives an endpoint to a newcomer of the same batch', async () => {
    const { plane } = await openOver(new MemoryIpvs())
    await plane.apply([{ key: 'web', before: null, after: web }])
    const heir = { ...web, id: 'heir' }
    const outcomes = await plane.apply([
      { key: 'heir', before: null, after: heir },
      { key: 'web', before: web, after: null },
    ])
    expect(outcomes).toEqual([{ ok: true }, { ok: true }])
    expect([...(await observed(plane)).keys()]).toEqual(['heir'])
  })

  it('lets two services swap their endpoints', async () => {
    const { plane } = await openOver(new MemoryIpvs())
    const other = virtualService({ id: 'other', port: 81, destinations: [destination(3)] })
    await plane.apply([web, other].map((after) => ({ key: after.id, before: null, after })))
    const outcomes = await plane.apply([
      { key: 'web', before: web, after: { ...web, port: 81 } },
      { key: 'other', before: other, after: { ...other, port: 80 } },
    ])
    expect(outcomes).toEqual([{ ok: true }, { ok: true }])
    expect((await observed(plane)).get('other')?.port).toBe(80)
  })

  it('sees what others changed behind its back', async () => {
    const ipvs = new MemoryIpvs()
    const { plane } = await openOver(ipvs)
    await plane.apply([{ key: 'web', before: null, after: web }])
    const meddled = {
      ...web,
      scheduler: 'wrr' as const,
      destinations: [destination(2, { weight: 5 }), destination(9)],
    }
    await (await openOver(ipvs)).plane.apply([{ key: 'x', before: web, after: meddled }])
    expect((await observed(plane)).get('web')).toEqual({
      ...meddled,
      // Of the known one the configured weight is still that which was applied.
      destinations: [destination(2, { weight: 5 }), destination(9, { id: '10.8.0.9:80' })],
    })
  })

  it('refuses two backends at one place', async () => {
    const { plane, commands } = await openOver(new MemoryIpvs())
    const twice = { ...web, destinations: [destination(1), destination(1, { id: 'b9' })] }
    const [outcome] = await plane.apply([{ key: 'web', before: null, after: twice }])
    expect(outcome?.ok === false && outcome.error.message).toContain('two backends are at 10.8.0.1:80')
    expect(commands).toEqual([])
  })

  it('flushes everything, and zeroes only its own', async () => {
    const ipvs = new MemoryIpvs()
    await (
      await openOver(ipvs)
    ).plane.apply([{ key: 'theirs', before: null, after: virtualService({ port: 1 }) }])
    const { plane, commands } = await openOver(ipvs)
    await plane.apply([{ key: 'web', before: null, after: web }])
    commands.length = 0
    await plane.zero()
    expect(
      commands.map((command) => ('key' in command && 'port' in command.key ? command.key.port : command.do)),
    ).toEqual([80])
    await plane.flush()
    expect(ipvs.services()).toEqual([])
    expect(await observed(plane)).toEqual(new Map())
  })

  it('writes the time-outs that are asked for and differ, and says what is in force', async () => {
    const ipvs = new MemoryIpvs()
    const plane = new IpvsPlane({ ipvs: async () => ipvs, sysctl: false, timeouts: { udp: 60 } })
    await plane.open({ has: () => false, keys: () => [], note: () => undefined })
    expect(await plane.facts()).toMatchObject({
      version: '1.2.1',
      connection_table: 4096,
      timeouts: { tcp: 900, tcpfin: 120, udp: 60 },
      sync_daemons: [],
    })
    await plane.close()
    await expect(plane.facts()).rejects.toThrow('the ipvs plane is not open')
  })

  it('refuses to open where there is no IPVS', async () => {
    const plane = new IpvsPlane({ ipvs: () => Promise.reject(failure('IPVS', 2)) })
    await expect(plane.open({ has: () => false, keys: () => [], note: () => undefined })).rejects.toThrow(
      'IPVS cannot be used (ENOENT): this kernel has no IPVS; load it ("modprobe ip_vs")',
    )
  })
})
