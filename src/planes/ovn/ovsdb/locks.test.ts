import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectNorthbound, insertNamed, namesIn } from '../../../../lab/ovn/ovsdbClient.ts'
import { until } from '../../../../lab/until.ts'
import { OvsdbProxy } from '../../../../lab/ovn/ovsdbProxy.ts'
import { ovnSchemas, ovsdbMissing, OvsdbServers } from '../../../../lab/ovn/ovsdbServers.ts'

const missing = ovsdbMissing()
if (missing !== null) console.log(`skipped: a lock: ${missing}`)

describe.skipIf(missing !== null)('a lock', () => {
  let servers: OvsdbServers

  beforeAll(async () => {
    servers = await OvsdbServers.start({ schema: ovnSchemas.northbound })
  })

  afterAll(async () => {
    await servers?.[Symbol.asyncDispose]()
  })

  it("is one client's, whose writes alone are done; the next one has it when that one goes", async () => {
    await using first = await connectNorthbound(servers.unix)
    await using second = await connectNorthbound(servers.unix)
    const [held, waiting] = [first.lock('compete'), second.lock('compete')]
    expect(first.lock('compete')).toBe(held)
    const told: boolean[] = []
    waiting.watch((held) => told.push(held))
    await first.transact([held.assertion, insertNamed('by the first')])
    expect(held.held).toBe(true)
    await expect(second.transact([waiting.assertion, insertNamed('by the second')])).rejects.toMatchObject({
      code: 'not owner',
      operation: 0,
    })
    expect([waiting.held, told]).toEqual([false, []])
    await first.close()
    await until(() => waiting.held)
    await second.transact([waiting.assertion, insertNamed('by the second')])
    expect(told).toEqual([true])
    expect(held.held).toBe(false)
    expect(namesIn(second)).toEqual(['by the first', 'by the second'])
  })

  it('is asked for again on each new connection', async () => {
    await using proxy = await OvsdbProxy.start(servers.unix[0] ?? '')
    await using database = await connectNorthbound([proxy.address])
    const lock = database.lock('kept')
    await until(() => lock.held)
    const told: boolean[] = []
    const end = lock.watch((held) => told.push(held))
    proxy.cut()
    await until(() => told.length === 2)
    expect(told).toEqual([false, true])
    await database.transact([lock.assertion, insertNamed('after the cut')])
    end()
    proxy.cut()
    await until(() => !lock.held)
    await until(() => lock.held)
    expect(told).toHaveLength(2)
  })

  it('that is asked for while there is no connection is had with the next one', async () => {
    await using proxy = await OvsdbProxy.start(servers.unix[0] ?? '')
    await using database = await connectNorthbound([proxy.address])
    proxy.cut()
    await until(() => !database.state.connected)
    const lock = database.lock('late')
    expect(lock.held).toBe(false)
    await until(() => lock.held)
  })

  it('that is stolen comes back when the thief goes', async () => {
    await using database = await connectNorthbound(servers.unix)
    const lock = database.lock('stolen')
    await until(() => lock.held)
    const thief = spawn('/usr/bin/ovsdb-client', ['steal', servers.unix[0] ?? '', 'stolen'], {
      stdio: 'ignore',
    })
    await until(() => !lock.held)
    await expect(database.transact([lock.assertion])).rejects.toMatchObject({ code: 'not owner' })
    thief.kill('SIGKILL')
    await once(thief, 'exit')
    await until(() => lock.held)
    await database.transact([lock.assertion, { op: 'comment', comment: 'ours again' }])
  })
})
