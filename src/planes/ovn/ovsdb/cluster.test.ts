import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectNorthbound, insertNamed, nameOf, namesIn } from '../../../../lab/ovn/ovsdbClient.ts'
import { until } from '../../../../lab/until.ts'
import { OvsdbProxy } from '../../../../lab/ovn/ovsdbProxy.ts'
import { ovnSchemas, ovsdbMissing, OvsdbServers } from '../../../../lab/ovn/ovsdbServers.ts'

const missing = ovsdbMissing()
if (missing !== null) console.log(`skipped: a cluster: ${missing}`)

describe.skipIf(missing !== null)('a cluster', () => {
  let servers: OvsdbServers

  beforeAll(async () => {
    servers = await OvsdbServers.start({ schema: ovnSchemas.northbound, members: 3 })
  })

  afterAll(async () => {
    await servers?.[Symbol.asyncDispose]()
  })

  const follower = async (): Promise<string> => {
    const leader = await servers.leader()
    return servers.unix.find((_, i) => i !== leader) ?? ''
  }

  it('is written at its leader, wherever in the list that is', async () => {
    const leader = servers.unix[await servers.leader()] ?? ''
    const others = servers.unix.filter((address) => address !== leader)
    for (const addresses of [
      [leader, ...others],
      [...others, leader],
    ]) {
      await using database = await connectNorthbound(addresses)
      expect(database.state.address).toBe(leader)
      await database.transact([insertNamed('at the leader')])
    }
    await expect(connectNorthbound(others)).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('not the leader'),
    })
  })

  it('has done what a transaction did when it resolves, at a follower too', async () => {
    await using database = await connectNorthbound([await follower()], { leaderOnly: false })
    const seen = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const [result] = await database.transact([insertNamed(`follower-${i}`)])
        return database.rows('Load_Balancer').has(result?.uuid ?? '')
      }),
    )
    expect(seen.filter(Boolean)).toHaveLength(100)
  })

  it('tells after a loss only what came since, where it knows', async () => {
    await using proxy = await OvsdbProxy.start(await follower())
    await using database = await connectNorthbound([proxy.address], { leaderOnly: false })
    await database.transact([insertNamed('before')])
    const seen: unknown[] = []
    database.subscribe((changes) => seen.push(changes.map(({ after }) => nameOf(after))))
    await using other = await connectNorthbound(servers.unix)
    proxy.silent = true
    await other.transact([insertNamed('meanwhile')])
    await other.transact([
      { op: 'update', table: 'Load_Balancer', where: [['name', '==', 'before']], row: { vips: { a: 'b' } } },
      { op: 'delete', table: 'Load_Balancer', where: [['name', '==', 'meanwhile']] },
      insertNamed('after'),
    ])
    proxy.silent = false
    proxy.cut()
    await until(() => namesIn(database).includes('after'))
    expect(proxy.answered.some((text) => text.includes('"result":[true,'))).toBe(true)
    expect(database.rows('Load_Balancer')).toEqual(other.rows('Load_Balancer'))
    expect(new Set(seen.flat())).toEqual(new Set(['before', 'after']))
  })

  it('whose leader steps down is followed to the next one, and all that is under way is answered', async () => {
    await using database = await connectNorthbound(servers.unix)
    const before = await servers.leader()
    const lock = database.lock('moves')
    await until(() => lock.held)
    const outcomes: PromiseSettledResult<unknown>[] = []
    const write = async (): Promise<void> => {
      while (database.state.address === servers.unix[before]) {
        const name = `moving-${outcomes.length}`
        const [outcome] = await Promise.allSettled([database.transact([insertNamed(name)]), sleep(1)])
        outcomes.push(outcome)
      }
    }
    const writers = Promise.all(Array.from({ length: 20 }, write))
    await servers.appctl(before, 'cluster/failure-test', 'transfer-leadership')
    await writers
    await until(() => database.state.connected)
    const done = outcomes.filter(({ status }) => status === 'fulfilled')
    const reasons = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [String(outcome.reason)] : [],
    )
    expect(reasons.filter((reason) => reason.includes('not known'))).toEqual([])
    expect(namesIn(database).filter((name) => name.startsWith('moving-'))).toHaveLength(done.length)
    await until(() => lock.held)
    await database.transact([lock.assertion, insertNamed('moved')])
  })

  it('whose leader is killed is written at the next one, with nothing acknowledged lost', async () => {
    await using database = await connectNorthbound(servers.unix)
    const leader = await servers.leader()
    const lock = database.lock('survives')
    await until(() => lock.held)
    const acknowledged: string[] = []
    const killed = new AbortController()
    let asked = 0
    const write = async (): Promise<void> => {
      while (!killed.signal.aborted) {
        const name = `killed-${asked++}`
        await database.transact([lock.assertion, insertNamed(name)])
        acknowledged.push(name)
      }
    }
    const writers = Promise.allSettled(Array.from({ length: 20 }, write))
    await until(() => acknowledged.length > 100)
    await servers.kill(leader)
    killed.abort()
    expect((await writers).map(({ status }) => status)).toContain('rejected')
    await until(() => lock.held && database.state.connected)
    expect(database.state.address).not.toBe(servers.unix[leader])
    await database.transact([lock.assertion, insertNamed('after the kill')])
    expect(namesIn(database)).toEqual(expect.arrayContaining(acknowledged))
    const there = namesIn(database).filter((name) => name.startsWith('killed-'))
    expect(there).toHaveLength(new Set(there).size)
    await servers.start(leader)
  })

  it('without a majority refuses with the reason, and goes on when there is one', async () => {
    await using database = await connectNorthbound(servers.unix)
    const leader = await servers.leader()
    const others = [0, 1, 2].filter((i) => i !== leader)
    await Promise.all(others.map((i) => servers.kill(i)))
    await until(() => !database.state.connected && database.state.problem.includes('not'))
    await expect(database.transact([insertNamed('alone')])).rejects.toMatchObject({ code: 'unreachable' })
    await Promise.all(others.map((i) => servers.start(i)))
    await until(() => database.state.connected)
    await database.transact([insertNamed('together')])
    expect(namesIn(database)).toContain('together')
  })
})
