import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { ringMissing } from '../../kernel/uring/probe.ts'
import type { StreamEvents } from '../stream.ts'
import { pattern, Rig, whole } from './rig.ts'
import { until } from '../../../lab/until.ts'
import type { RingStream } from './stream.ts'

const missing = await ringMissing()
if (missing !== null) console.warn(`skipped: relays of the ring, as ${missing}`)

const ECANCELED = 125

describe.skipIf(missing !== null)('a relay of the ring', () => {
  const rig = new Rig()
  afterEach(() => rig.end())

  /** Two clients of one ring, and what happens to them. */
  async function two(): Promise<{
    stream: RingStream
    sockets: [Socket, Socket]
    connections: [number, number]
    log: [string, number, number][]
  }> {
    const stream = await rig.ring({ slots: 8, slotBytes: 65_536 })
    const log: [string, number, number][] = []
    const accepted: number[] = []
    const events: StreamEvents = {
      accepted: (connection) => void accepted.push(connection),
      connected: () => {},
      received: (...all) => void log.push(['received', ...all]),
      sent: (...all) => void log.push(['sent', ...all]),
      relayed: (...all) => void log.push(['relayed', ...all]),
    }
    const { port } = await stream.listen('127.0.0.1', 0, events)
    const left = rig.client(port)
    await until(() => accepted.length === 1)
    const right = rig.client(port)
    await until(() => accepted.length === 2)
    const [from = -1, to = -1] = accepted
    return { stream, sockets: [left, right], connections: [from, to], log }
  }

  const long = 3_000_000

  it('moves so many bytes and no more; the rest is received as ever', async () => {
    const { stream, sockets, connections, log } = await two()
    const [left, right] = sockets
    const [from, to] = connections
    const bytes = pattern(long)
    const got: Buffer[] = []
    right.on('data', (chunk: Buffer) => got.push(chunk))
    stream.relay(from, to, long)
    left.write(bytes)
    left.write('rest')
    await until(() => log.length === 1)
    expect(log).toEqual([['relayed', from, long]])
    stream.receive(from, stream.slotOf(from), 100)
    await until(() => log.length === 2)
    expect(log[1]).toEqual(['received', from, 4])
    stream.send(to, stream.slotOf(from), 4, false)
    stream.shutdown(to)
    await once(right, 'end')
    expect(Buffer.concat(got).equals(Buffer.concat([bytes, Buffer.from('rest')]))).toBe(true)
  })

  it('ends with its source', async () => {
    const { stream, sockets, connections, log } = await two()
    const [left, right] = sockets
    const [from, to] = connections
    stream.relay(from, to, Number.MAX_SAFE_INTEGER)
    left.end('short')
    await until(() => log.length === 1)
    expect(log).toEqual([['relayed', from, 5]])
    stream.shutdown(to)
    expect(String(await whole(right))).toBe('short')
  })

  it('goes both ways at once, at the pace of slow readers', async () => {
    const { stream, sockets, connections, log } = await two()
    const [left, right] = sockets
    const [from, to] = connections
    stream.relay(from, to, Number.MAX_SAFE_INTEGER)
    stream.relay(to, from, Number.MAX_SAFE_INTEGER)
    left.pause()
    right.pause()
    // More than the buffers of loopback hold.
    const [there, back] = [pattern(long * 6), pattern(long * 6).reverse()]
    left.end(there)
    right.end(back)
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
    expect(log).toEqual([])
    const atRight = whole(right)
    const atLeft = whole(left)
    await until(() => log.length === 2)
    stream.shutdown(from)
    stream.shutdown(to)
    expect((await atRight).equals(there)).toBe(true)
    expect((await atLeft).equals(back)).toBe(true)
  })

  it('leaves receives of its destination and sends of its source alone', async () => {
    const { stream, sockets, connections, log } = await two()
    const [left, right] = sockets
    const [from, to] = connections
    stream.receive(to, stream.slotOf(to), 100)
    stream.relay(from, to, long)
    left.write(pattern(1000))
    await once(right, 'data')
    // Now both sockets are non-blocking: operations of the ring have to wait by polls.
    right.write('ab')
    await until(() => log.length === 1)
    expect(log[0]).toEqual(['received', to, 2])
    stream.receive(to, stream.slotOf(to), 100)
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate)
    right.write('cde')
    await until(() => log.length === 2)
    expect(log[1]).toEqual(['received', to, 3])
    left.pause()
    const big = stream.slotBytes
    for (let round = 0; round < 100; round += 1) {
      stream.send(from, stream.slotOf(from), big, false)
      if (round === 60) left.resume()
      if (round < 60) {
        for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate)
        if (log.length === 2 + round) left.resume()
      }
      await until(() => log.length === 3 + round)
      expect(log[2 + round]).toEqual(['sent', from, big])
    }
  })

  it('is called off by the end of its source, also with bytes on the way', async () => {
    const { stream, sockets, connections, log } = await two()
    const [left, right] = sockets
    const [from, to] = connections
    right.pause()
    stream.relay(from, to, long * 10)
    left.write(pattern(long * 4))
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
    stream.close(from)
    await until(() => stream.freeSlots === 7)
    expect(log).toEqual([])
    stream.close(to)
    await until(() => stream.freeSlots === 8)
  })

  it.each(['while it waits for the source', 'while it waits for the destination'])(
    'is called off by the end of its destination, %s',
    async (when) => {
      const { stream, sockets, connections, log } = await two()
      const [left, right] = sockets
      const [from, to] = connections
      right.pause()
      stream.relay(from, to, long * 10)
      if (when.endsWith('destination')) left.write(pattern(long * 4))
      for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
      stream.close(to)
      await until(() => log.length === 1)
      expect(log).toEqual([['relayed', from, -ECANCELED]])
      stream.close(from)
      await until(() => stream.freeSlots === 8)
    },
  )

  it.each([0, 1])('tells of a reset by peer %i', async (which) => {
    const { stream, sockets, connections, log } = await two()
    const [left] = sockets
    const [from, to] = connections
    stream.relay(from, to, long * 10)
    left.write(pattern(100_000))
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
    sockets[which]?.resetAndDestroy()
    if (which === 1) left.write(pattern(100_000))
    await until(() => log.length === 1)
    expect(log[0]?.slice(0, 2)).toEqual(['relayed', from])
    expect(log[0]?.[2]).toBeLessThan(0)
  })

  it('leaves no pipe open', async () => {
    const before = readdirSync('/proc/self/fd').length
    for (let round = 0; round < 3; round += 1) {
      const { stream, sockets, connections, log } = await two()
      stream.relay(...connections, 3)
      sockets[0].write('abc')
      await until(() => log.length === 1)
      expect(log).toEqual([['relayed', connections[0], 3]])
      rig.end()
    }
    await until(() => readdirSync('/proc/self/fd').length <= before)
  })
})
