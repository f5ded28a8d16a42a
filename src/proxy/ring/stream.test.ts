import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { ringMissing } from '../../kernel/uring/probe.ts'
import { listenOn } from '../../kernel/uring/sockets.ts'
import type { Endpoint, StreamEvents } from '../stream.ts'
import { streamSuite } from '../streamSuite.ts'
import { driven, echo, pattern, Rig, whole } from './rig.ts'
import { until } from '../../../lab/until.ts'
import { RingStream } from './stream.ts'

const missing = await ringMissing()
if (missing !== null) console.warn(`skipped: the ring transport, as ${missing}`)

const nothing: StreamEvents = { accepted() {}, connected() {}, received() {}, sent() {} }
const openDescriptors = (): number => readdirSync('/proc/self/fd').length

describe.skipIf(missing !== null)('over a real ring', () => {
  streamSuite('ring', async (options) => driven(await RingStream.open(options)))

  describe('a ring transport', () => {
    const rig = new Rig()
    afterEach(() => rig.end())

    it('answers a peer that sends byte by byte', async () => {
      const stream = await rig.ring({ slots: 4, slotBytes: 4096 })
      const { port } = await stream.listen('127.0.0.1', 0, echo(stream))
      const client = rig.client(port)
      const answer = whole(client)
      const bytes = pattern(300)
      for (const byte of bytes) {
        client.write(Uint8Array.of(byte))
        await new Promise(setImmediate)
      }
      client.end()
      expect((await answer).equals(bytes)).toBe(true)
    })

    it('knows the addresses of the clients of a shared socket, more at once than accepts under way', async () => {
      const stream = await rig.ring({ slots: 64, slotBytes: 4096 })
      for (const address of ['127.0.0.1', '::1']) {
        const socket = await listenOn(address, 0)
        const told: Endpoint[] = []
        const later: Endpoint[] = []
        const accepted: number[] = []
        const listener = stream.listenShared(socket, {
          ...nothing,
          accepted: (connection) => {
            told.push(stream.peerOf(connection))
            accepted.push(connection)
          },
        })
        const clients = Array.from({ length: 30 }, () => rig.client(socket.port, address))
        await until(() => told.length === 30)
        for (const connection of accepted) later.push(stream.peerOf(connection))
        const ports = clients.map(({ localPort }) => localPort).sort()
        expect(told.map(({ port }) => port).sort()).toEqual(ports)
        expect(told.every((end) => end.address === address)).toBe(true)
        expect(later).toEqual(told)
        listener.close()
        socket.close()
      }
    })

    it('carries 2,000 connections at once, twice over the same slots, and leaves no descriptor', async () => {
      const before = openDescriptors()
      const count = 2000
      const stream = await rig.ring({ slots: count, slotBytes: 4096 })
      const { port } = await stream.listen('127.0.0.1', 0, echo(stream))
      for (const round of [1, 2]) {
        const answers = Array.from({ length: count }, (_, index) => {
          const client = rig.client(port)
          const answer = whole(client)
          client.write(`${round} ${index}`)
          client.once('data', () => client.end())
          return answer
        })
        const texts = (await Promise.all(answers)).map(String)
        expect(texts).toEqual(Array.from({ length: count }, (_, index) => `${round} ${index}`))
        await until(() => stream.freeSlots === count)
      }
      rig.end()
      await until(() => openDescriptors() <= before)
    })

    it('keeps a closed slot until what others send out of it is sent', async () => {
      const slotBytes = 4 << 20
      const stream = await rig.ring({ slots: 2, slotBytes })
      const taken: number[] = []
      const sent: number[] = []
      const { port } = await stream.listen('127.0.0.1', 0, {
        ...nothing,
        accepted: (connection) => void taken.push(connection),
        sent: (_, result) => void sent.push(result),
      })
      rig.client(port)
      await until(() => taken.length === 1)
      const reader = rig.client(port)
      await until(() => taken.length === 2)
      const [source = -1, sink = -1] = taken
      reader.pause()
      const at = stream.slotOf(source)
      stream.arena.set(pattern(slotBytes), at)
      stream.send(sink, at, slotBytes, false)
      stream.close(source)
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
      // More than the buffers of loopback hold is under way.
      expect(sent).toEqual([])
      expect(stream.freeSlots).toBe(0)
      expect(stream.connect('127.0.0.1', port, nothing)).toBe(-1)
      const answer = whole(reader)
      await until(() => sent.length === 1)
      expect(sent).toEqual([slotBytes])
      await until(() => stream.freeSlots === 1)
      stream.close(sink)
      expect((await answer).equals(pattern(slotBytes))).toBe(true)
    })

    it('gives a slot back although a send of its connection never completes', async () => {
      const stream = await rig.ring({ slots: 1, slotBytes: 4 << 20 })
      const accepted: number[] = []
      const { port } = await stream.listen('127.0.0.1', 0, {
        ...nothing,
        accepted: (connection) => void accepted.push(connection),
        sent: () => expect.unreachable('it was closed'),
      })
      const client = rig.client(port)
      client.pause()
      await until(() => accepted.length === 1)
      stream.send(0, 0, 4 << 20, false)
      await new Promise(setImmediate)
      stream.close(0)
      await until(() => stream.freeSlots === 1)
    })

    it('tells nobody of completions of before: the next connection of the slot has its own', async () => {
      const stream = await rig.ring({ slots: 1, slotBytes: 4096 })
      const log: string[] = []
      const told = (name: string): StreamEvents => ({
        accepted: (connection) => {
          log.push(`${name} accepted`)
          stream.receive(connection, 0, 100)
        },
        connected: () => {},
        received: (_, result) => void log.push(`${name} received ${result}`),
        sent: () => {},
      })
      const first = await stream.listen('127.0.0.1', 0, told('first'))
      const second = await stream.listen('127.0.0.1', 0, told('second'))
      const early = rig.client(first.port)
      await until(() => log.length === 1)
      await new Promise<void>((resolve) => early.write('for the first', () => resolve()))
      // Its receive has completed in the kernel, and nobody has been told yet.
      stream.close(0)
      await until(() => stream.freeSlots === 1)
      rig.client(second.port).write('hello')
      await until(() => log.length === 3)
      expect(log).toEqual(['first accepted', 'second accepted', 'second received 5'])
    })

    it('calls off a connect', async () => {
      const stream = await rig.ring({ slots: 1, slotBytes: 4096 })
      const connected = (): void => expect.unreachable('it was closed')
      // TEST-NET-1 (RFC 5737): nobody answers, or there is no route.
      for (let round = 0; round < 3; round += 1) {
        expect(stream.connect('192.0.2.1', 9, { ...nothing, connected })).toBe(0)
        stream.close(0)
        await until(() => stream.freeSlots === 1)
      }
    })

    it('shuts down after what is under way', async () => {
      const stream = await rig.ring({ slots: 1, slotBytes: 4 << 20 })
      const accepted: number[] = []
      const { port } = await stream.listen('127.0.0.1', 0, {
        ...nothing,
        accepted: (connection) => void accepted.push(connection),
      })
      const client = rig.client(port)
      await until(() => accepted.length === 1)
      const bytes = pattern(4 << 20)
      stream.arena.set(bytes, 0)
      stream.send(0, 0, bytes.length, false)
      stream.shutdown(0)
      expect((await whole(client)).equals(bytes)).toBe(true)
    })

    it('ends from within an event, also with much under way', async () => {
      const stream = await rig.ring({ slots: 8, slotBytes: 4096 })
      const events = echo(stream)
      const { port } = await stream.listen('127.0.0.1', 0, { ...events, received: () => stream.end() })
      const clients: Socket[] = Array.from({ length: 6 }, () => rig.client(port))
      await Promise.all(clients.map((client) => once(client, 'connect')))
      await until(() => stream.freeSlots === 2)
      const closed = clients.map((client) => once(client.resume(), 'close'))
      for (const client of clients) client.end('x')
      await Promise.all(closed)
      expect(stream.isEnded).toBe(true)
      expect(stream.freeSlots).toBe(8)
    })

    it('refuses slots that are none', async () => {
      await expect(RingStream.open({ slots: 4, slotBytes: 5000 })).rejects.toThrow(/power of two/)
      await expect(RingStream.open({ slots: 1 << 20, slotBytes: 4096 })).rejects.toThrow(/2 GiB/)
    })

    it('serves again, without a busy loop, after descriptors had run out', async () => {
      const clients = 100
      const actor = fileURLToPath(new URL('fewDescriptors.actor.ts', import.meta.url))
      const child = spawn('sh', ['-c', `ulimit -n 64; exec "${process.execPath}" "${actor}" ${clients}`], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const exited = once(child, 'exit')
      const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
      const { value: port } = await lines.next()
      const open = Array.from({ length: clients }, () => rig.client(Number(port)))
      const answered = new Set<Socket>()
      for (const client of open) {
        client.write('x')
        client.once('data', () => answered.add(client))
      }
      await until(() => answered.size > 20)
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setTimeout(resolve, 20))
      expect(answered.size).toBeLessThan(64)
      for (const client of open) client.once('data', () => client.end())
      for (const client of answered) client.end()
      await until(() => answered.size === clients)
      const { value: turns } = await lines.next()
      // A loop that does not wait turns many thousands of times in the tenths of a second that it waits here.
      expect(Number(turns)).toBeLessThan(2000)
      await exited
    })
  })
})
