import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { flagBit } from '../../model/names.ts'
import type { Destination, VirtualService } from '../plane.ts'
import { Rig } from './rig.ts'
import { until } from '../../../lab/until.ts'
import { freePort } from '../freePort.ts'

/** Answers each datagram with its own id, a colon, and the datagram. */
async function named(rig: Rig, host = '127.0.0.1'): Promise<{ destination: Destination; socket: Socket }> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.bind(0, host)
  await once(socket, 'listening')
  const destination = rig.destination(host, socket.address().port)
  socket.on('message', (bytes, from) =>
    socket.send(`${destination.id}:${String(bytes)}`, from.port, from.address),
  )
  rig.onEnd(() => socket.close())
  return { destination, socket }
}

interface Client {
  listen(heard: (text: string) => void): void
  send(text: string): void
  ask(text: string): Promise<string>
}

/** Connected, so that an answer from anywhere but the virtual address is not heard. */
async function client(rig: Rig, spec: VirtualService): Promise<Client> {
  const socket = createSocket(spec.family === 6 ? 'udp6' : 'udp4')
  socket.connect(Number(spec.port), spec.address)
  await once(socket, 'connect')
  rig.onEnd(() => socket.close())
  return {
    listen: (heard) => socket.on('message', (bytes) => heard(String(bytes))),
    send: (text) => socket.send(text),
    ask: async (text) => {
      socket.send(text)
      const [answer] = (await once(socket, 'message')) as [Buffer]
      return String(answer)
    },
  }
}

describe('UDP through the userspace plane', () => {
  it.each([
    ['127.0.0.1', 4],
    ['::1', 6],
  ] as const)(
    '%s: a client port stays with its backend and hears from the virtual address',
    async (address, family) => {
      await using rig = new Rig()
      const a = await named(rig, address)
      const b = await named(rig, address)
      const spec = await rig.service([a.destination, b.destination], { protocol: 'udp', address, family })
      const one = await client(rig, spec)
      const two = await client(rig, spec)
      expect([await one.ask('x'), await two.ask('y'), await one.ask('z'), await two.ask('')]).toEqual([
        'b0:x',
        'b1:y',
        'b0:z',
        'b1:',
      ])
      expect(await rig.counters()).toMatchObject({
        connections: 2,
        active: 2,
        packetsIn: 4,
        packetsOut: 4,
        bytesIn: 3,
        bytesOut: 15,
      })
    },
  )

  it('one-packet: each datagram is scheduled anew', async () => {
    await using rig = new Rig()
    const a = await named(rig)
    const b = await named(rig)
    const spec = await rig.service([a.destination, b.destination], {
      protocol: 'udp',
      flags: flagBit.onePacket,
    })
    const one = await client(rig, spec)
    const answers = []
    for (const text of ['1', '2', '3', '4']) answers.push(await one.ask(text))
    expect(answers).toEqual(['b0:1', 'b1:2', 'b0:3', 'b1:4'])
    expect((await rig.counters()).connections).toBe(4)
  })

  it('weight 0 keeps flows, removal ends them at once', async () => {
    await using rig = new Rig()
    const a = await named(rig)
    const b = await named(rig)
    const spec = await rig.service([a.destination, b.destination], { protocol: 'udp' })
    const one = await client(rig, spec)
    expect(await one.ask('x')).toBe('b0:x')
    await rig.put({ ...spec, destinations: [{ ...a.destination, weight: 0 }, b.destination] })
    expect(await one.ask('y')).toBe('b0:y')
    const two = await client(rig, spec)
    expect(await two.ask('x')).toBe('b1:x')
    await rig.put({ ...spec, destinations: [b.destination] })
    expect(await rig.counters()).toMatchObject({ active: 1, connections: 2 })
    expect(await one.ask('z')).toBe('b1:z')
  })

  it('flows end when idle', async () => {
    await using rig = new Rig({ timeouts: { tcp: 900, tcpfin: 120, udp: 30 } })
    const a = await named(rig)
    const b = await named(rig)
    const spec = await rig.service([a.destination, b.destination], { protocol: 'udp' })
    const one = await client(rig, spec)
    await one.ask('x')
    rig.pass(20)
    expect(await one.ask('y')).toBe('b0:y')
    rig.pass(20)
    expect((await rig.counters()).active).toBe(1)
    rig.pass(20)
    expect((await rig.counters()).active).toBe(0)
    expect(await one.ask('z')).toBe('b1:z')
  })

  it.each([0, flagBit.onePacket])(
    'flags %i: what a refusing backend did not take goes to another, and nothing is lost',
    async (flags) => {
      await using rig = new Rig()
      const dead = rig.destination('127.0.0.1', await freePort())
      const dead2 = rig.destination('127.0.0.1', await freePort())
      const b = await named(rig)
      const spec = await rig.service([dead, dead2, b.destination], { protocol: 'udp', flags })
      const one = await client(rig, spec)
      expect(await one.ask('x')).toBe(`${b.destination.id}:x`)
      expect(await one.ask('y')).toBe(`${b.destination.id}:y`)
      const { destinations, active } = await rig.counters()
      expect(active).toBe(1)
      expect(destinations.get(dead.id)).toMatchObject({ active: 0 })
      expect(destinations.get(dead.id)?.errors).toBeGreaterThan(0)
    },
  )

  it('where all refuse, a datagram is tried on each once and then dropped', async () => {
    await using rig = new Rig()
    const dead = [
      rig.destination('127.0.0.1', await freePort()),
      rig.destination('127.0.0.1', await freePort()),
    ]
    const spec = await rig.service(dead, { protocol: 'udp' })
    const one = await client(rig, spec)
    one.send('lost')
    await until(async () => (await rig.counters()).errors === 3)
    const { active, destinations } = await rig.counters()
    expect({ active, errors: dead.map(({ id }) => destinations.get(id)?.errors) }).toEqual({
      active: 0,
      errors: [1, 1],
    })
  })

  it('the table of flows is bounded', async () => {
    await using rig = new Rig({ bounds: { flows: 2 } })
    const a = await named(rig)
    const spec = await rig.service([a.destination], { protocol: 'udp' })
    const [one, two, three] = [await client(rig, spec), await client(rig, spec), await client(rig, spec)]
    await one.ask('x')
    await two.ask('x')
    three.send('x')
    await until(async () => (await rig.counters()).errors === 1)
    expect(await rig.counters()).toMatchObject({ active: 2, connections: 2 })
    await rig.plane.withdraw(['web'])
    await rig.put(spec)
    expect(await three.ask('x')).toBe(`${a.destination.id}:x`)
  })

  it('without a backend datagrams are dropped and counted', async () => {
    await using rig = new Rig()
    const spec = await rig.service([], { protocol: 'udp' })
    const one = await client(rig, spec)
    one.send('x')
    await until(async () => (await rig.counters()).errors === 1)
    expect(await rig.counters()).toMatchObject({ active: 0, connections: 0 })
  })
})
