import { isDeepStrictEqual } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ovnMissing, startOvn, type OvnLab } from '../../../lab/ovn/ovn.ts'
import { OvsdbProxy } from '../../../lab/ovn/ovsdbProxy.ts'
import { until } from '../../../lab/until.ts'
import { plainDestination, plainService } from '../plain.ts'
import type { Change, Confirmation, Outcome, VirtualService } from '../plane.ts'
import { OvnPlane, type OvnOptions } from './plane.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: the ovn plane: ${missing}`)

type ServiceChange = Change<VirtualService, string>

const attach = { switches: ['inside'], routers: [], groups: [] }
const web = plainService({
  address: '10.9.0.1',
  attach,
  destinations: [plainDestination('10.0.0.2'), plainDestination('10.0.0.3')],
})
const service = (fields: Partial<VirtualService>): VirtualService => ({ ...web, ...fields })
const change = (before: VirtualService | null, after: VirtualService | null): ServiceChange => ({
  key: (after ?? before)?.id ?? '',
  before,
  after,
})
const ledger = { has: () => false, keys: () => [], note: () => undefined }
const log = { info() {}, warn() {} }

/** @returns the refusals, '' where one was done */
const texts = (outcomes: readonly Outcome[]): string[] =>
  outcomes.map((outcome) => (outcome.ok ? '' : `${outcome.error.code}: ${outcome.error.message}`))

describe.skipIf(missing !== null)('the ovn plane', () => {
  let lab: OvnLab
  let plane: OvnPlane
  const opened: OvnPlane[] = []

  async function openPlane(options: Partial<OvnOptions> = {}): Promise<OvnPlane> {
    const made = new OvnPlane({
      northbound: [lab.nbAddress],
      southbound: [lab.sbAddress],
      owner: 'torb',
      log,
      ...options,
    })
    await made.open(ledger)
    opened.push(made)
    return made
  }

  const apply = async (...changes: readonly ServiceChange[]): Promise<string[]> =>
    texts(await plane.apply(changes))
  const add = async (...specs: readonly VirtualService[]): Promise<string[]> =>
    apply(...specs.map((spec) => change(null, spec)))

  async function observed(from = plane): Promise<Map<string, VirtualService>> {
    return new Map(await Array.fromAsync(from.observe('all')))
  }

  /** Rows of a table without what differs from run to run. */
  async function rows(table: string, columns: string): Promise<unknown[]> {
    const json = JSON.parse(await lab.nbctl('--format=json', `--columns=${columns}`, 'list', table)) as {
      data: unknown[]
    }
    return json.data
  }

  beforeAll(async () => {
    lab = await startOvn({ chassis: 1 })
    const commands = [
      'ls-add inside',
      'ls-add dmz',
      'ls-add twin',
      'ls-add twin',
      'lr-add edge1',
      'lr-add edge2',
    ]
    await lab.nbctl(
      ...commands
        .map((one) => (one === 'ls-add twin' ? '--add-duplicate ls-add twin' : one))
        .join(' -- ')
        .split(' '),
    )
    await lab.nbctl('create', 'Load_Balancer_Group', 'name=all')
    await lab.nbctl(
      ...'set Logical_Router edge1 options:chassis=hv1 -- set Logical_Router edge2 options:chassis=hv1'.split(
        ' ',
      ),
    )
    plane = await openPlane()
  })
  afterAll(async () => {
    for (const one of opened) await one.close()
    lab?.close()
  })
  afterEach(async () => {
    await plane.flush()
    const left = await lab.nbctl('lb-list')
    await lab.nbctl('--all', 'destroy', 'Load_Balancer')
    expect(left).toBe('')
  })

  it('writes what a person would have written by hand', async () => {
    const by = (id: string, fields: Partial<VirtualService>): VirtualService => service({ id, ...fields })
    const one = plainDestination('10.0.0.2')
    const specs = [
      by('plain', {}),
      by('weighted', {
        address: '10.9.0.2',
        scheduler: 'wrr',
        destinations: [plainDestination('10.0.0.2', { weight: 3 }), plainDestination('10.0.0.3')],
      }),
      by('six', {
        address: 'fd00::9',
        family: 6,
        protocol: 'udp',
        destinations: [plainDestination('fd00::2')],
      }),
      by('any', {
        address: '10.9.0.3',
        port: 'any',
        destinations: [plainDestination('10.0.0.2', { port: 0 })],
      }),
      by('kept', { address: '10.9.0.4', persistence: { timeout: 60, prefix: 32 }, destinations: [one] }),
      by('learned', {
        address: '10.9.0.5',
        persistence: { timeout: 60, prefix: 32 },
        ovn: { affinity: 'learned', when_empty: 'drop' },
      }),
      by('empty', { address: '10.9.0.6', protocol: 'sctp', destinations: [], ovn: { when_empty: 'event' } }),
    ]
    expect(await add(...specs)).toEqual(specs.map(() => ''))
    const told = async (): Promise<[string, unknown[]]> => {
      const list = (await lab.nbctl('lb-list')).replaceAll(/[-0-9a-f]{36}/g, '')
      const columns = 'name,vips,protocol,selection_fields,options,health_check,ip_port_mappings'
      return [list, (await rows('Load_Balancer', columns)).map((row) => JSON.stringify(row)).sort()]
    }
    const byTorb = await told()
    await plane.flush()
    const two = '10.0.0.2:80,10.0.0.3:80'
    for (const command of [
      `--reject lb-add plain 10.9.0.1:80 ${two}`,
      `--reject lb-add weighted 10.9.0.2:80 10.0.0.2:80,10.0.0.2:80,${two} tcp`,
      '--reject lb-add six [fd00::9]:80 [fd00::2]:80 udp',
      '--reject lb-add any 10.9.0.3 10.0.0.2',
      // lb-add writes tcp there, which means nothing.
      'clear Load_Balancer any protocol',
      '--reject lb-add kept 10.9.0.4:80 10.0.0.2:80 tcp',
      'set Load_Balancer kept selection_fields=ip_src,ip_dst',
      `lb-add learned 10.9.0.5:80 ${two} tcp`,
      'set Load_Balancer learned options:affinity_timeout=60',
      '--event lb-add empty 10.9.0.6:80',
      'set Load_Balancer empty protocol=sctp',
    ]) {
      // lb-add wants backends; a person leaves them out by what is below it.
      if (command.startsWith('--event'))
        await lab.nbctl(
          'create',
          'Load_Balancer',
          'name=empty',
          'vips:"10.9.0.6:80"=""',
          'options:event=true',
        )
      else await lab.nbctl(...command.split(' '))
    }
    expect(byTorb).toEqual(await told())
    for (const { id } of specs) await lab.nbctl('lb-del', id)
  })

  it('changes only what differs, in the row that is there, and leaves what others set', async () => {
    await add(web)
    const [[before]] = (await rows('Load_Balancer', '_uuid')) as [[unknown]]
    await lab.nbctl(...'set Load_Balancer web options:theirs=1 external_ids:neutron=2'.split(' '))
    const heavier = service({
      scheduler: 'wrr',
      destinations: [plainDestination('10.0.0.2', { weight: 3 }), plainDestination('10.0.0.3')],
    })
    expect(await apply(change(web, heavier))).toEqual([''])
    expect(await rows('Load_Balancer', '_uuid')).toEqual([[before]])
    expect(await lab.nbctl('get', 'Load_Balancer', 'web', 'options', 'external_ids:neutron')).toBe(
      '{reject="true", theirs="1"}\n"2"\n',
    )
    const { nb_cfg: number } = await plane.facts()
    expect(await apply(change(heavier, heavier))).toEqual([''])
    expect((await plane.facts())['nb_cfg']).toBe(number)
    expect((await observed()).get('web')).toEqual(heavier)
  })

  it('says which name was meant, and attaches by UUID where names are not enough', async () => {
    const at = (name: string): VirtualService => service({ attach: { ...attach, switches: [name] } })
    expect(plane.refuses(at('insde'))).toBe(
      'attach.switches: there is no switch insde in the northbound database; did you mean inside?',
    )
    expect(plane.refuses(service({ attach: { ...attach, groups: ['none'] } }))).toBe(
      'attach.groups: there is no load balancer group none in the northbound database; there is all',
    )
    expect(await add(at('nowhere'))).toEqual([
      expect.stringContaining('refused: attach.switches: there is no switch nowhere'),
    ])
    expect(plane.refuses(at('twin'))).toMatch(
      /2 logical switches have the name twin; give the one that is meant by its UUID \(\S+ or \S+\)$/,
    )
    const [[[, uuid]]] = (await rows('Logical_Switch', '_uuid,name')).filter(
      (row) => (row as string[])[1] === 'twin',
    ) as [[[string, string]]]
    expect(await add(at(uuid))).toEqual([''])
    expect(await lab.nbctl('ls-lb-list', uuid)).toContain('10.9.0.1:80')
  })

  it('stays attached where a name becomes a UUID, or one of both goes', async () => {
    const [[[, uuid]]] = (await rows('Logical_Switch', '_uuid,name')).filter(
      (row) => (row as string[])[1] === 'inside',
    ) as [[[string, string]]]
    const at = (...switches: string[]): VirtualService => service({ attach: { ...attach, switches } })
    const steps = [at('inside'), at(uuid), at('inside', uuid), at('inside'), at(uuid, 'inside'), at(uuid)]
    await add(at('inside'))
    for (const [index, before] of steps.slice(0, -1).entries()) {
      const after = steps[index + 1] ?? null
      expect(await apply(change(before, after))).toEqual([''])
      expect(await lab.nbctl('ls-lb-list', 'inside'), JSON.stringify(after?.attach)).toContain('10.9.0.1:80')
    }
  })

  it('moves between switches, routers and groups, and detaches only what it attached', async () => {
    await add(web)
    await lab.nbctl('ls-lb-add', 'dmz', 'web')
    const moved = service({ attach: { switches: [], routers: ['edge1'], groups: ['all'] } })
    expect(await apply(change(web, moved))).toEqual([''])
    const has = async (...command: string[]): Promise<boolean> =>
      (await lab.nbctl(...command)).includes('10.9.0.1:80')
    expect([
      await has('ls-lb-list', 'inside'),
      await has('ls-lb-list', 'dmz'),
      await has('lr-lb-list', 'edge1'),
    ]).toEqual([false, true, true])
    expect(await lab.nbctl('get', 'Load_Balancer_Group', 'all', 'load_balancer')).not.toBe('[]\n')
  })

  it('refuses an address that somebody has at the same switch, of Torb or not, and takes it elsewhere', async () => {
    await lab.nbctl(...'lb-add theirs 10.9.0.7:80 10.0.0.2:80 -- ls-lb-add inside theirs'.split(' '))
    await until(async () => (await plane.foreign()).length > 0)
    const there = service({ id: 'there', address: '10.9.0.7' })
    const twin = service({ id: 'twin' })
    const [one, two, three, four] = await add(
      web,
      twin,
      there,
      service({ id: 'dmz', attach: { ...attach, switches: ['dmz'] } }),
    )
    expect([one, four]).toEqual(['', ''])
    expect(two).toBe(
      'refused: service twin cannot be written: service web has tcp 10.9.0.1:80 on switch inside; choose another address or port, or attach one of them elsewhere',
    )
    expect(three).toMatch(
      /load balancer theirs has tcp 10\.9\.0\.7:80 on switch inside and is not Torb's; remove it \(ovn-nbctl lb-del \S+\)/,
    )
    expect((await plane.foreign()).map(({ id, attach }) => [id, attach])).toEqual([['theirs', attach]])
    expect(await plane.foreign(['tcp 10.9.0.1:80'])).toEqual([])
    await lab.nbctl('lb-del', 'theirs')
  })

  it('does not write a second row beside one whose mark somebody spoilt; that one can be taken over', async () => {
    await add(web)
    await lab.nbctl(...'remove Load_Balancer web external_ids torb-service'.split(' '))
    await until(async () => (await observed()).size === 0)
    expect(await add(web)).toEqual([expect.stringMatching(/load balancer web has tcp .* is not Torb's/)])
    const [before = null] = await plane.foreign()
    expect(await apply({ key: 'web', before, after: web, foreign: true })).toEqual([''])
    expect((await rows('Load_Balancer', 'name')).length).toBe(1)
    expect((await observed()).get('web')).toEqual(web)
  })

  it('takes one of several virtual addresses of a row over into a row of its own, and a single one in place', async () => {
    const commands =
      'lb-add many 10.9.0.1:80 10.0.0.2:80,10.0.0.3:80 -- lb-add many 10.9.0.8:80 10.0.0.9:80 -- ls-lb-add inside many'
    await lab.nbctl(...commands.split(' '))
    await until(async () => (await plane.foreign(['tcp 10.9.0.1:80'])).length > 0)
    const [one = null] = await plane.foreign(['tcp 10.9.0.1:80'])
    const taken = service({ ovn: { when_empty: 'drop' } })
    expect(await apply({ key: 'web', before: one, after: taken, foreign: true })).toEqual([''])
    expect((await observed()).get('web')).toEqual(taken)
    expect(await lab.nbctl('get', 'Load_Balancer', 'many', 'vips')).toBe('{"10.9.0.8:80"="10.0.0.9:80"}\n')
    const [[uuid]] = (await rows('Load_Balancer', '_uuid,name')).filter(
      (row) => (row as string[])[1] === 'many',
    ) as [[unknown]]
    const [rest = null] = await plane.foreign(['tcp 10.9.0.8:80'])
    const other = service({
      id: 'rest',
      address: '10.9.0.8',
      ovn: { when_empty: 'drop' },
      destinations: [plainDestination('10.0.0.9')],
    })
    expect(await apply({ key: 'rest', before: rest, after: other, foreign: true })).toEqual([''])
    expect(await rows('Load_Balancer', '_uuid,name')).toContainEqual([uuid, 'rest'])
    expect(await plane.foreign()).toEqual([])
  })

  it('sees and repairs what somebody does to its rows', async () => {
    const spoils: readonly (readonly [string, string | undefined])[] = [
      ['set Load_Balancer web vips:"10.9.0.1:80"="10.0.0.9:80"', 'vips'],
      ['set Load_Balancer web options:reject=false', 'options'],
      ['set Load_Balancer web name=other', 'name'],
      ['set Load_Balancer web protocol=udp', 'protocol'],
      ['set Load_Balancer web selection_fields=ip_src', 'selection_fields'],
      ['set Load_Balancer web vips:"10.9.0.2:80"="10.0.0.9:80"', 'vips'],
      ['ls-lb-del inside web', undefined],
      ['lb-del web', undefined],
    ]
    await add(web)
    for (const [command, drift] of spoils) {
      await lab.nbctl(...command.replaceAll('"', command.includes('vips') ? '"' : '').split(' '))
      await until(async () => !isDeepStrictEqual((await observed()).get('web'), web))
      const seen = (await observed()).get('web')
      expect(seen?.drift, command).toBe(drift)
      expect(await apply(change(seen ?? null, web)), command).toEqual([''])
      expect((await observed()).get('web'), command).toEqual(web)
    }
    expect(await lab.nbctl('ls-lb-list', 'inside')).toContain('web')
  })

  it('a switch that is gone is advised of and no drift; when it is there again it is attached', async () => {
    await lab.nbctl('ls-add', 'fleeting')
    const spec = service({ attach: { switches: ['inside', 'fleeting'], routers: [], groups: [] } })
    await add(spec)
    await lab.nbctl('ls-del', 'fleeting')
    await until(() =>
      Promise.resolve(plane.advice('web').some((text) => text.includes('no switch fleeting'))),
    )
    expect((await observed()).get('web')).toEqual(spec)
    await lab.nbctl('ls-add', 'fleeting')
    await until(async () => (await observed()).get('web')?.attach?.switches.length === 1)
    const seen = (await observed()).get('web')
    expect(await apply(change(seen ?? null, spec))).toEqual([''])
    expect(await lab.nbctl('ls-lb-list', 'fleeting')).toContain('web')
    expect((await observed()).get('web')).toEqual(spec)
    await lab.nbctl('ls-del', 'fleeting')
  })

  it('knows after a restart all that it wrote', async () => {
    const specs = [
      service({
        id: 'a',
        scheduler: 'mh',
        flags: 0x10,
        destinations: [
          plainDestination('10.0.0.2', { id: 'x', weight: 7, maxWeight: 9 }),
          plainDestination('10.0.0.3', { id: 'y', weight: 0 }),
        ],
      }),
      service({
        id: 'b',
        address: '10.9.0.2',
        persistence: { timeout: 77, prefix: 32 },
        ovn: { slots: 32, force_snat: 'router_ip' },
        attach: { ...attach, routers: ['edge1'] },
      }),
    ]
    expect(await add(...specs)).toEqual(['', ''])
    const other = await openPlane()
    expect([...(await observed(other)).values()].sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(specs)
    await other.close()
  })

  it('sets lb_force_snat_ip while a service wants it, and touches nobody else’s', async () => {
    const get = async (router: string): Promise<string> =>
      (await lab.nbctl('--if-exists', 'get', 'Logical_Router', router, 'options:lb_force_snat_ip'))
        .trim()
        .replaceAll('"', '')
    const at = (id: string, address: string, force: string, ...routers: string[]): VirtualService =>
      service({ id, address, attach: { switches: [], routers, groups: [] }, ovn: { force_snat: force } })
    const one = at('one', '10.9.0.1', '10.5.0.1', 'edge1')
    const same = at('same', '10.9.0.2', '10.5.0.1', 'edge1')
    expect(await add(one, same, at('other', '10.9.0.3', '10.5.0.2', 'edge1'))).toEqual([
      '',
      '',
      'refused: service other cannot have force_snat 10.5.0.2: router edge1 has one value for all services, and one has 10.5.0.1; give both the same, or attach them to different routers',
    ])
    expect(await get('edge1')).toBe('10.5.0.1')
    await apply(change(one, null))
    expect(await get('edge1')).toBe('10.5.0.1')
    await apply(change(same, at('same', '10.9.0.2', 'router_ip', 'edge1')))
    expect(await get('edge1')).toBe('router_ip')
    await lab.nbctl('remove', 'Logical_Router', 'edge1', 'options', 'lb_force_snat_ip')
    await until(async () => (await observed()).get('same')?.drift === 'lb_force_snat_ip of edge1')
    const held = (await observed()).get('same') ?? null
    expect(await apply(change(held, at('same', '10.9.0.2', 'router_ip', 'edge1')))).toEqual([''])
    expect(await get('edge1')).toBe('router_ip')
    await plane.withdraw(['same'])
    expect(await get('edge1')).toBe('')
    await lab.nbctl('set', 'Logical_Router', 'edge2', 'options:lb_force_snat_ip=10.5.0.9')
    await until(async () => (await add(at('two', '10.9.0.4', '10.5.0.1', 'edge2')))[0] !== '')
    expect(await add(at('two', '10.9.0.4', '10.5.0.9', 'edge2'))).toEqual([''])
    await plane.withdraw(['two'])
    expect(await get('edge2')).toBe('10.5.0.9')
    expect(await lab.nbctl('get', 'Logical_Router', 'edge1', 'external_ids')).toBe('{}\n')
  })

  it('a template that goes and comes again ends no ovn-controller', async () => {
    const spec = service({ ovn: { template: {} } })
    for (let round = 0; round < 2; round++) {
      expect(await add(spec)).toEqual([''])
      await lab.sync()
      await plane.withdraw(['web'])
      await lab.sync()
    }
    expect(await add(spec)).toEqual([''])
    await lab.sync()
  })

  it('gives each chassis its address by a template, and takes only its variables away', async () => {
    await lab.nbctl('add', 'Chassis_Template_Var', 'hv1', 'variables', 'theirs=1')
    const spec = service({ ovn: { template: { hv9: '10.9.0.9' } } })
    expect(await add(spec)).toEqual([''])
    expect(plane.advice('web')).toContainEqual(
      expect.stringMatching(/chassis hv9, which is not there, .*; did you mean hv1\? OVN has hv1$/),
    )
    const variables = async (): Promise<string[]> =>
      (await rows('Chassis_Template_Var', 'chassis,variables')).map((row) => JSON.stringify(row)).sort()
    expect(await variables()).toEqual([
      '["hv1",["map",[["theirs","1"],["torb_torb__web","10.9.0.1"]]]]',
      '["hv9",["map",[["torb_torb__web","10.9.0.9"]]]]',
    ])
    expect((await observed()).get('web')).toEqual(spec)
    await lab.nbctl('remove', 'Chassis_Template_Var', 'hv1', 'variables', 'torb_torb__web')
    await until(async () => (await observed()).get('web')?.drift === 'Chassis_Template_Var')
    expect(await apply(change(spec, spec))).toEqual([''])
    await plane.withdraw(['web'])
    expect(await variables()).toEqual(['["hv1",["map",[["theirs","1"]]]]', '["hv9",["map",[]]]'])
  })

  it('of two with one owner one writes, and the other when that is gone', async () => {
    const second = await openPlane()
    expect([plane.standby(), second.standby()]).toEqual([null, expect.stringMatching(/^another Torb writes/)])
    const [outcome] = await second.apply([change(null, web)])
    expect(texts(outcome === undefined ? [] : [outcome])).toEqual([
      'unreachable: another Torb writes what is marked torb-owner=torb in the northbound database, and this one stands by: write there, or give this one an owner of its own (ovn_owner)',
    ])
    expect([(await plane.facts())['writer'], (await second.facts())['writer']]).toEqual([true, false])
    await add(web)
    await plane.close()
    await until(async () => (await second.facts())['writer'] === true)
    expect(await observed(second)).toEqual(new Map([['web', web]]))
    plane = second
  })

  it('of two with different owners each has its own', async () => {
    const other = await openPlane({ owner: 'other' })
    await add(web)
    expect(texts(await other.apply([change(null, service({ id: 'web', address: '10.9.0.2' }))]))).toEqual([
      '',
    ])
    expect([...(await observed()).keys(), ...(await observed(other)).keys()]).toEqual(['web', 'web'])
    await plane.flush()
    expect((await observed(other)).get('web')?.address).toBe('10.9.0.2')
    await other.flush()
  })

  it('makes its change anew where somebody else was faster', async () => {
    await add(web)
    let current = web
    const racing = (async () => {
      for (let n = 0; n < 15; n++) await lab.nbctl('set', 'Load_Balancer', 'web', `options:theirs=${n}`)
    })()
    for (let n = 1; n <= 60; n++) {
      const when = n % 2 === 0 ? 'drop' : 'event'
      const next = service({
        ovn: { when_empty: when },
        destinations: [plainDestination('10.0.0.2'), plainDestination('10.0.0.3', { weight: n })],
      })
      expect(await apply(change(current, next))).toEqual([''])
      current = next
    }
    await racing
    await until(async () => (await lab.nbctl('get', 'Load_Balancer', 'web', 'options:theirs')) === '"14"\n')
    expect((await observed()).get('web')).toEqual(current)
  })

  it('tells when a change is in force, and whom it waits for', async () => {
    const told: Confirmation<VirtualService, string>[] = []
    const reading = (async () => {
      for await (const one of plane.confirmed) told.push(one)
    })()
    const last = (): string => JSON.stringify([told.at(-1)?.key, told.at(-1)?.state, told.at(-1)?.lagging])
    await add(web)
    await until(() => last() === '["web","applied",[]]')
    await lab.northd.kill()
    const two = service({ scheduler: 'sh' })
    expect(await apply(change(web, two))).toEqual([''])
    await until(() => last() === '["web","accepted",["northd"]]')
    expect(await plane.facts()).toMatchObject({
      lagging: ['northd'],
      northd: expect.stringContaining('has not followed since'),
    })
    const other = await openPlane({ owner: 'other' })
    expect((await other.facts())['northd']).toContain('has not followed since')
    await lab.northd.start()
    await until(() => last() === '["web","applied",[]]')
    await until(async () => (await plane.facts())['northd'] === 'follows')
    expect((await plane.facts())['lagging']).toEqual([])
    lab.chassis[0]?.controller.freeze()
    expect(await apply(change(two, web))).toEqual([''])
    await until(() => last() === '["web","accepted",["hv1"]]')
    lab.chassis[0]?.controller.thaw()
    await until(() => last() === '["web","applied",[]]')
    await plane.flush()
    await plane.close()
    await reading
    plane = await openPlane()
  })

  it('takes back what was done without an answer, over writes that were refused since and another loss', async () => {
    await plane.close()
    await using proxy = await OvsdbProxy.start(lab.nbAddress)
    plane = await openPlane({ northbound: [proxy.address], patienceMs: 0 })
    const [two, three] = [2, 3].map((weight) =>
      service({ destinations: [plainDestination('10.0.0.2', { weight }), plainDestination('10.0.0.3')] }),
    )
    expect(await add(web)).toEqual([''])
    proxy.lost = 2
    expect(await apply(change(web, two ?? web))).toEqual([expect.stringContaining('not known whether')])
    expect(await apply(change(web, three ?? web))).toEqual([expect.stringContaining('unreachable: ')])
    // The second one is lost with the answer to what took the first one back.
    await until(async () => proxy.lost === 0 && (await plane.facts())['writer'] === true)
    await until(
      async () => isDeepStrictEqual([...(await observed()).values()], [web]),
      'what was acknowledged',
      5000,
    )
    await plane.close()
    plane = await openPlane()
    // By a connection of its own: the second loss may still be on its way to the one before.
    await plane.flush()
  })

  it.each([
    ['waits for it', 5000],
    ['gives up', 0],
  ])(
    'over kills of the database loses nothing acknowledged, doubles nothing and leaves no orphan: %s',
    async (_, patienceMs) => {
      await plane.close()
      plane = await openPlane({ patienceMs })
      const state = new Map<string, VirtualService>()
      const killed = { all: false }
      const killing = (async () => {
        for (let n = 0; n < 4; n++) {
          await sleep(60)
          await lab.nb.restart()
          await until(async () => (await plane.facts())['writer'] === true)
        }
        killed.all = true
      })()
      let [done, failed] = [0, 0]
      for (let n = 0; !killed.all || n < 50; n++) {
        const batch = [n % 12, (n + 5) % 12].map((number): ServiceChange => {
          const id = `s${number}`
          const before = state.get(id) ?? null
          const destinations = [plainDestination('10.0.0.2', { weight: n })]
          const after = service({ id, address: `10.8.0.${number}`, destinations })
          return { key: id, before, after: before !== null && n % 5 === 0 ? null : after }
        })
        const outcomes = await apply(...batch)
        batch.forEach(({ key, after }, index) => {
          if (outcomes[index] !== '') {
            failed++
            expect(outcomes[index]).toContain('unreachable: ')
          } else {
            done++
            if (after === null) state.delete(key)
            else state.set(key, after)
          }
        })
        if (outcomes.some((text) => text !== '')) await sleep(5)
      }
      await killing
      // What failed may have been done, and is taken back by now.
      await until(async () => isDeepStrictEqual(await observed(), state))
      expect(await rows('Load_Balancer', 'name')).toHaveLength(state.size)
      expect(done).toBeGreaterThan(0)
      if (patienceMs === 0) expect(failed).toBeGreaterThan(0)
      console.log(`${done} changes done and ${failed} refused over 4 kills of the database`)
    },
  )
})

it('says what it cannot reach', async () => {
  const plane = new OvnPlane({ northbound: ['unix:/nowhere/nb.sock'], southbound: [], owner: 'torb', log })
  await expect(plane.open(ledger)).rejects.toThrow('OVN_Northbound')
  expect(plane.advice('web')).toEqual([])
})
