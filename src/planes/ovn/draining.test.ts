import { describe, expect, it } from 'vitest'
import { plainCheck as check, plainDestination, plainService } from '../plain.ts'
import type { VirtualService } from '../plane.ts'
import { Connections } from './connections.ts'
import { Draining, flashRow, joinSwitches, resetWay } from './draining.ts'
import type { Operation } from './ovsdb/ovsdb.ts'
import type { Northbound, NorthboundTable } from './tables.ts'
import { Topology } from './topology.ts'
import { article, Layout } from './topologyRig.ts'

const checked = [plainDestination('172.16.255.130', { check }), plainDestination('172.16.255.131', { check })]
const unchecked = checked.map((one) => ({ ...one, check: null }))

const attached = (
  switches: readonly string[],
  routers: readonly string[] = [],
  groups: readonly string[] = [],
) => ({
  attach: { switches, routers, groups },
})

const drainingOf = (layout: Layout, northbound: object): Draining =>
  new Draining({
    northbound: northbound as Northbound,
    topology: new Topology(layout),
    connections: new Connections({ vswitchd: [], log: console }),
    owner: 'me',
    lock: { assertion: { op: 'assert', lock: 'torb_me' } },
    log: console,
  })

describe('connections that remain at a removal', () => {
  const lan = article()
    .group('both', { switches: ['inside'], routers: ['edge1'] })
    .group('routers', { routers: ['edge1'] })
    .switch('alone')
    .port('alone', 'vm9', ['02:00:00:00:00:09 10.9.0.2'])
  const topology = new Topology(lan)

  it.each<[string, Partial<VirtualService>, boolean, string]>([
    [
      'of checked backends, by the row of the service',
      { ...attached(['inside']), destinations: checked },
      true,
      'row',
    ],
    ['by groups as well', { ...attached([], [], ['both']), destinations: checked }, true, 'row'],
    [
      'on a router, by a row for a moment',
      { ...attached([], ['edge1']), destinations: checked },
      true,
      'flash',
    ],
    ['on a group of routers', { ...attached([], [], ['routers']), destinations: checked }, true, 'flash'],
    ['of unchecked backends too', { ...attached(['inside']), destinations: unchecked }, true, 'flash'],
    [
      'where one with weight is not checked',
      { ...attached(['inside']), destinations: [...checked, ...unchecked.slice(0, 1)] },
      true,
      'flash',
    ],
    [
      'without a switch between routers, by the chassis',
      { ...attached(['alone']), destinations: unchecked },
      true,
      'chassis',
    ],
    ['not at all', { ...attached(['alone']), destinations: unchecked }, false, 'none'],
    ['of what is attached nowhere', { destinations: checked }, false, 'none'],
  ])('are reset %s', (_, fields, chassis, way) => {
    expect(resetWay(plainService(fields), topology, chassis)).toBe(way)
  })

  it('by switches that only routers are on', () => {
    const names = (fields: Partial<VirtualService>): readonly string[] =>
      joinSwitches(topology, plainService(fields)).map(({ name }) => name)
    expect(names(attached(['inside']))).toEqual(['transit'])
    expect(names(attached(['outside']))).toEqual(['transit'])
    expect(names(attached(['alone']))).toEqual([])
    expect(names({ attach: null })).toEqual([])
  })

  it('and only those, by virtual address and backend', () => {
    expect(
      flashRow(plainService({ address: 'fd09::9', family: 6 }), [plainDestination('fd00::3')], 'me'),
    ).toEqual({
      name: 'web (resets connections)',
      vips: { '[fd09::9]:80': '[fd00::3]:80' },
      protocol: 'tcp',
      options: { ct_flush: 'true' },
      external_ids: { 'torb-owner': 'me', 'torb-reset': 'web' },
    })
    const any = plainService({ port: 'any', ovn: { template: { hv1: '10.0.0.7' } } })
    const gone = [plainDestination('10.0.0.2', { port: 0 }), plainDestination('10.0.0.3', { port: 0 })]
    expect(flashRow(any, gone, 'me')).toMatchObject({
      vips: { '10.0.0.1': '10.0.0.2,10.0.0.3', '10.0.0.7': '10.0.0.2,10.0.0.3' },
      protocol: null,
    })
  })

  it('leave nothing behind of a run that was killed meanwhile, and of no other owner', async () => {
    const layout = new Layout()
    const row = (owner: string, columns: object = {}) =>
      layout.balancer(
        'web',
        {},
        {},
        { external_ids: new Map(Object.entries({ 'torb-owner': owner, ...columns })) },
      )
    row('me')
    const left = row('me', { 'torb-reset': 'web' })
    row('other', { 'torb-reset': 'web' })
    const transactions: (readonly Operation[])[] = []
    const northbound = {
      rows: (table: NorthboundTable) => layout.rows(table),
      transact: (operations: readonly Operation[]) => {
        transactions.push(operations)
        return Promise.resolve(operations.map(() => ({})))
      },
    }
    const draining = drainingOf(layout, northbound)
    await draining.open()
    expect(transactions).toEqual([
      [
        { op: 'assert', lock: 'torb_me' },
        { op: 'delete', table: 'Load_Balancer', where: { uuid: left } },
        { op: 'mutate', table: 'NB_Global', where: [], mutations: [['nb_cfg', '+=', 1]] },
      ],
    ])
  })

  describe('give way to services that have the backend again', () => {
    const web = plainService({ ...attached(['inside']), destinations: unchecked })
    const [one, two] = unchecked
    const text = (operation: Operation): string =>
      operation.op === 'insert' ? Object.values(operation.row['vips'] as object).join() : operation.op

    /** An OVN whose chassis follow when they are told to. */
    function rig() {
      const layout = article()
      const global = { nb_cfg: 0, hv_cfg: 0 }
      layout.insert('NB_Global', global)
      const subscribers = new Set<() => void>()
      const transactions: string[] = []
      const northbound = {
        rows: (table: NorthboundTable) =>
          table === 'NB_Global' ? new Map([['0', global]]) : layout.rows(table),
        transact: (operations: readonly Operation[]) => {
          global.nb_cfg += 1
          const [first] = operations.slice(1)
          transactions.push(first === undefined ? '' : text(first))
          return Promise.resolve(operations.map(({ op }) => (op === 'insert' ? { uuid: 'made' } : {})))
        },
        subscribe: (look: () => void) => {
          subscribers.add(look)
          return () => subscribers.delete(look)
        },
      }
      const draining = drainingOf(layout, northbound)
      const follow = (): void => {
        global.hv_cfg = global.nb_cfg
        for (const look of subscribers) look()
      }
      return { draining, global, transactions, follow }
    }

    it('by leaving out what has not begun', async () => {
      const { draining, global, transactions, follow } = rig()
      global.nb_cfg = 1
      draining.reset(web, unchecked)
      await draining.giveWay([{ ...web, id: 'other', destinations: one === undefined ? [] : [one] }])
      follow()
      await expect.poll(() => transactions).toEqual(['172.16.255.131:80'])
      follow()
      await draining.close()
      expect(transactions).toEqual(['172.16.255.131:80', 'delete'])
    })

    it('by ending at once what has, before the service comes', async () => {
      const { draining, transactions } = rig()
      draining.reset(web, unchecked)
      await expect.poll(() => transactions).toHaveLength(1)
      // No chassis follows.
      await draining.giveWay([{ ...web, address: '10.0.0.9' }])
      expect(transactions).toHaveLength(1)
      await draining.giveWay([{ ...web, destinations: two === undefined ? [] : [two] }])
      expect(transactions).toEqual(['172.16.255.130:80,172.16.255.131:80', 'delete'])
      await draining.close()
    })
  })
})
