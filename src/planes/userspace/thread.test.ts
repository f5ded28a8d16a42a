import { plainDestination, plainService } from '../plain.ts'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { Refusal } from '../../model/refusal.ts'
import type { VirtualService } from '../plane.ts'
import { ended } from './rig.ts'
import { until } from '../../../lab/until.ts'
import { ThreadPlane } from './thread.ts'
import { freePort } from '../freePort.ts'

const flow = { protocol: 'tcp', source: '127.0.0.1', sourcePort: 4000, destination: '127.0.0.1' } as const

describe('the userspace plane in a thread of its own', () => {
  async function world() {
    const server = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const spec = plainService({
      address: '127.0.0.1',
      port: await freePort(),
      destinations: [
        plainDestination('127.0.0.1', { id: 'b', port: (server.address() as AddressInfo).port }),
      ],
    })
    const told: string[] = []
    const log = {
      info: (text: string) => void told.push(text),
      warn: (_fields: object, text: string) => void told.push(text),
    }
    const failures: Error[] = []
    const plane = new ThreadPlane({ closeWithinMs: 0, log, failed: (error) => failures.push(error) })
    const stack = new AsyncDisposableStack()
    stack.defer(() => plane.close())
    stack.defer(() => void server.close())
    return { plane, spec, told, failures, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }

  const reach = (spec: VirtualService): Promise<string> => ended(client(spec))
  const client = (spec: VirtualService): Socket => connect(Number(spec.port), spec.address)

  it('does all that the plane does', async () => {
    await using test = await world()
    const { plane, spec, told } = test
    await plane.open()
    expect(told[0]).toMatch(/^plane userspace: TCP goes over /)
    expect(await plane.facts()).toHaveProperty('tcp')
    expect(await plane.apply([{ key: spec.id, before: null, after: spec }])).toEqual([{ ok: true }])
    expect(await Array.fromAsync(plane.observe('all'))).toEqual([[spec.id, spec]])
    expect(await Array.fromAsync(plane.observe(['other']))).toEqual([])
    expect(await reach(spec)).toBe('hello')
    const counters = (await plane.counters()).get(spec.id)
    expect(counters).toMatchObject({ connections: 1, bytesOut: 5 })
    expect(counters?.destinations.get('b')).toMatchObject({ connections: 1, bytesOut: 5 })
    await plane.zero([spec.id])
    expect((await plane.counters([spec.id])).get(spec.id)?.connections).toBe(0)
    const explanation = await plane.explain({ ...flow, destinationPort: Number(spec.port) })
    expect(explanation).toMatchObject({ service: spec.id, backend: 'b' })
    await plane.withdraw([spec.id])
    expect(await reach(spec)).toBe('ECONNREFUSED')
  })

  it('a refusal arrives as one', async () => {
    await using test = await world()
    const [outcome] = await test.plane.apply([
      { key: 'web', before: null, after: { ...test.spec, address: '192.0.2.1' } },
    ])
    const error = outcome?.ok === false ? outcome.error : null
    expect(error).toBeInstanceOf(Refusal)
    expect(error?.code).toBe('refused')
    expect(error?.message).toContain('(EADDRNOTAVAIL)')
  })

  it('serves while this thread is busy', async () => {
    await using test = await world()
    const { plane, spec } = test
    await plane.apply([{ key: spec.id, before: null, after: spec }])
    const load = `
      const { workerData } = require('node:worker_threads')
      let answers = 0
      const ask = () => require('node:net').connect(workerData.port, '127.0.0.1').resume().on('close', () => {
        Atomics.store(workerData.answers, 0, ++answers)
        Atomics.notify(workerData.answers, 0)
        if (answers < 20) ask()
      })
      ask()`
    const serve = `
      const server = require('node:net').createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1', () =>
        require('node:worker_threads').parentPort.postMessage(server.address().port))`
    const backend = new Worker(serve, { eval: true, execArgv: [] })
    const [port] = (await once(backend, 'message')) as [number]
    const [destination] = spec.destinations
    const after = { ...spec, destinations: [{ ...destination!, id: 'c', port }] }
    await plane.apply([{ key: spec.id, before: spec, after }])
    const answers = new Int32Array(new SharedArrayBuffer(4))
    const clients = new Worker(load, { eval: true, execArgv: [], workerData: { port: spec.port, answers } })
    await once(clients, 'online')
    // Nothing of this thread's event loop runs until all are answered.
    let isMoving = true
    for (let seen = 0; seen < 20 && isMoving; seen = Atomics.load(answers, 0))
      isMoving = Atomics.wait(answers, 0, seen, 2000) !== 'timed-out'
    expect(answers[0]).toBe(20)
    expect((await plane.counters([spec.id])).get(spec.id)?.connections).toBe(20)
    await Promise.all([backend.terminate(), clients.terminate()])
  })

  it('its death is said, and from then on it is unreachable', async () => {
    await using test = await world()
    const { plane, spec, failures } = test
    const [destination] = spec.destinations
    // A type that no program can give it, which the first client stumbles over.
    const weight = 1n as unknown as number
    const broken = { ...spec, destinations: [{ ...destination!, weight }] }
    expect(await plane.apply([{ key: spec.id, before: null, after: broken }])).toEqual([{ ok: true }])
    const first = client(spec).on('error', () => {})
    await until(() => failures.length > 0)
    first.destroy()
    expect(failures[0]?.message).toContain('the thread of the userspace plane has died: ')
    await expect(plane.counters()).rejects.toMatchObject({
      code: 'unreachable',
      message: failures[0]?.message,
    })
    expect(failures).toHaveLength(1)
  })

  it('ends once, also where it never began', async () => {
    const plane = new ThreadPlane()
    await plane.close()
    await plane.close()
    await expect(plane.open()).rejects.toMatchObject({ code: 'unreachable' })
  })
})
