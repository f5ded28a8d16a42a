import { duplexPair, type Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Unusable } from './address.ts'
import { ProtocolError, Splitter } from './framing.ts'
import { OvsdbError } from './ovsdb.ts'
import { Rpc } from './rpc.ts'
import { until } from '../../../../lab/until.ts'

const never = 1 << 30

/** A connection whose other end is this test. */
class Peer {
  readonly rpc: Rpc
  readonly notified: unknown[] = []
  readonly ended: string[] = []
  readonly got: Record<string, unknown>[] = []
  readonly #socket: Duplex

  constructor(probeMs = never) {
    const [ours, theirs] = duplexPair()
    this.#socket = theirs
    const splitter = new Splitter()
    theirs.on('error', () => {})
    theirs.on('data', (bytes: Buffer) => {
      for (const text of splitter.push(bytes)) this.got.push(JSON.parse(text) as Record<string, unknown>)
    })
    this.rpc = new Rpc(ours, probeMs, {
      notified: (method, params) => void this.notified.push([method, params]),
      ended: (problem) => void this.ended.push(problem),
    })
  }

  say(message: unknown): void {
    this.#socket.write(typeof message === 'string' ? message : JSON.stringify(message))
  }

  hangUp(): void {
    this.#socket.end()
  }
}

const as = (result: unknown): unknown => result

describe('JSON-RPC', () => {
  it('gives each request its answer, in whatever order they come', async () => {
    const peer = new Peer()
    const answers = Promise.all([peer.rpc.ask('one', [1], as), peer.rpc.ask('two', [2], as)])
    await until(() => peer.got.length === 2)
    expect(peer.got.map(({ method, params }) => [method, params])).toEqual([
      ['one', [1]],
      ['two', [2]],
    ])
    const [one, two] = peer.got.map(({ id }) => id)
    peer.say({ id: two, result: '2', error: null })
    peer.say({ id: 'nobody', result: 'x', error: null })
    peer.say({ id: one, result: '1', error: null })
    expect(await answers).toEqual(['1', '2'])
    peer.rpc.end('over')
  })

  it('makes errors of the server OvsdbErrors, and nothing else of them', async () => {
    const peer = new Peer()
    const asked = [peer.rpc.ask('a', [], as), peer.rpc.ask('b', [], as)]
    const answers = Promise.allSettled(asked)
    peer.say({ id: 1, error: { error: 'unknown database', details: 'none' } })
    peer.say({ id: 2, error: 'unknown method' })
    const errors = (await answers).map((answer) => (answer.status === 'rejected' ? answer.reason : null))
    expect(errors).toEqual([expect.any(OvsdbError), expect.any(OvsdbError)])
    expect(errors).toMatchObject([{ code: 'unknown database' }, { code: 'unknown method' }])
    expect(peer.ended).toEqual([])
    peer.rpc.end('over')
  })

  it('looks at what came in its order', async () => {
    const peer = new Peer()
    const order: string[] = []
    const answer = peer.rpc.ask('a', [], () => order.push(`answer after ${peer.notified.length}`))
    peer.say(
      [
        { method: 'update', params: [1], id: null },
        { id: 1, result: 0, error: null },
        { method: 'update', params: [2], id: null },
      ]
        .map((message) => JSON.stringify(message))
        .join(''),
    )
    await answer
    expect(order).toEqual(['answer after 1'])
    expect(peer.notified).toEqual([
      ['update', [1]],
      ['update', [2]],
    ])
    peer.rpc.end('over')
  })

  it('answers echo, and refuses what else it is asked', async () => {
    const peer = new Peer()
    peer.say({ method: 'echo', params: ['hello', 1], id: 'echo' })
    peer.say({ method: 'transact', params: [], id: 7 })
    await until(() => peer.got.length === 2)
    expect(peer.got).toEqual([
      { id: 'echo', result: ['hello', 1], error: null },
      { id: 7, result: null, error: 'unknown method' },
    ])
    peer.rpc.end('over')
  })

  it('ends a connection over which nothing comes, but asks before', async () => {
    const peer = new Peer(20)
    const asked = peer.rpc.ask('a', [], as)
    await expect(asked).rejects.toThrow(Unusable)
    expect(peer.got.map(({ method }) => method)).toEqual(['a', 'echo'])
    expect(peer.ended).toEqual(['it has been silent for 0.04 seconds'])
  })

  it('keeps one that answers its echoes', async () => {
    const peer = new Peer(50)
    for (let echoes = 0; echoes < 3; echoes++) {
      await until(() => peer.got.length > echoes)
      peer.say({ id: peer.got.at(-1)?.['id'], result: [], error: null })
    }
    expect(peer.got.map(({ method }) => method)).toEqual(['echo', 'echo', 'echo'])
    expect(peer.ended).toEqual([])
    peer.rpc.end('over')
  })

  it('rejects what waits when the other side hangs up, and all that comes later', async () => {
    const peer = new Peer()
    const asked = peer.rpc.ask('a', [], as)
    peer.hangUp()
    await expect(asked).rejects.toThrow('it closed the connection')
    await expect(peer.rpc.ask('b', [], as)).rejects.toThrow('it closed the connection')
    expect(peer.ended).toHaveLength(1)
  })

  it('leaves when the last answer has come', async () => {
    const peer = new Peer()
    const asked = [peer.rpc.ask('a', [], as), peer.rpc.ask('b', [], as)]
    peer.rpc.leave('it is not the leader', never)
    peer.say({ id: 1, result: 'one', error: null })
    expect(await asked[0]).toBe('one')
    expect(peer.ended).toEqual([])
    peer.say({ id: 2, result: 'two', error: null })
    expect(await asked[1]).toBe('two')
    expect(peer.ended).toEqual(['it is not the leader'])
  })

  it('leaves after a while in any case, and at once where nothing waits', async () => {
    const peer = new Peer()
    const asked = peer.rpc.ask('a', [], as)
    peer.rpc.leave('it is not the leader', 5)
    await expect(asked).rejects.toThrow('it is not the leader')
    const idle = new Peer()
    idle.rpc.leave('it is not the leader', never)
    expect(idle.ended).toEqual(['it is not the leader'])
  })

  it('ends where a result is none, and rejects whoever waits for it', async () => {
    const peer = new Peer()
    const asked = peer.rpc.ask('a', [], () => {
      throw new ProtocolError('no array')
    })
    peer.say({ id: 1, result: 7, error: null })
    await expect(asked).rejects.toThrow('no array')
    expect(peer.ended).toEqual(["it does not speak OVSDB's protocol: no array"])
  })

  it('ends or goes on whatever comes, and never throws', async () => {
    const method = fc.constantFrom('update', 'echo', 'locked', 'x')
    const message = fc.oneof(
      fc.record({ id: fc.jsonValue(), method, params: fc.jsonValue() }, { requiredKeys: [] }),
      fc.record(
        { id: fc.constantFrom(1, 2, null, '1'), result: fc.jsonValue(), error: fc.jsonValue() },
        { requiredKeys: ['id'] },
      ),
    )
    const said = fc.oneof(message.map(as), fc.string({ maxLength: 9 }))
    await fc.assert(
      fc.asyncProperty(fc.array(said, { minLength: 1, maxLength: 4 }), async (messages) => {
        const peer = new Peer()
        const asked = peer.rpc.ask('a', [], as).then(as, as)
        for (const message of messages) peer.say(message)
        peer.hangUp()
        await asked
        await until(() => peer.ended.length > 0)
        expect(peer.ended).toHaveLength(1)
      }),
    )
  })
})
