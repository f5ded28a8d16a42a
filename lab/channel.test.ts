import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { remote, serve, type Channel } from './channel.ts'

/** Two ends of a pipe within this process; messages are cloned as a process boundary does. */
function pipe(): { readonly near: Channel; readonly far: Channel; cut: (reason: string) => void } {
  const toFar = new EventEmitter()
  const toNear = new EventEmitter()
  const end = (out: EventEmitter, into: EventEmitter): Channel => ({
    send: (message) => void setImmediate(() => out.emit('message', structuredClone(message))),
    onMessage: (listener) => void into.on('message', listener),
    onClose: (listener) => void into.on('close', listener),
  })
  return {
    near: end(toFar, toNear),
    far: end(toNear, toFar),
    cut: (reason) => void toNear.emit('close', reason),
  }
}

const methods = {
  add: async (a: number, b: number) => a + b,
  sizes: async (texts: ReadonlyMap<string, string>) =>
    new Map([...texts].map(([key, text]) => [key, text.length])),
  fail: async () => {
    throw Object.assign(new Error('the far side failed'), { code: 'EFAR' })
  },
  never: () => new Promise<void>(() => {}),
}

describe('calls over a channel', () => {
  it('return values, Maps included, each to its caller', async () => {
    const { near, far } = pipe()
    serve(methods, far)
    const there = remote<typeof methods>(near)
    expect(await Promise.all([there.add(1, 2), there.add(3, 4)])).toEqual([3, 7])
    expect(await there.sizes(new Map([['a', 'xyz']]))).toEqual(new Map([['a', 3]]))
  })

  it('reject with the message and code of the far side', async () => {
    const { near, far } = pipe()
    serve(methods, far)
    await expect(remote<typeof methods>(near).fail()).rejects.toMatchObject({
      message: 'the far side failed',
      code: 'EFAR',
    })
  })

  it('reject where the far side has no such method', async () => {
    const { near, far } = pipe()
    serve({}, far)
    await expect(remote<typeof methods>(near).add(1, 2)).rejects.toThrow('no method add on the other side')
  })

  it('reject when the far side goes, and ever after', async () => {
    const { near, far, cut } = pipe()
    serve(methods, far)
    const there = remote<typeof methods>(near)
    const waiting = there.never()
    cut('the process ended')
    await expect(waiting).rejects.toThrow('the process ended')
    await expect(there.add(1, 2)).rejects.toThrow('the process ended')
  })
})
