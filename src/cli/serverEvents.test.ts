import fc from 'fast-check'
import { expect, it } from 'vitest'
import { eventsOf, type ServerEvent } from './serverEvents.ts'

async function read(chunks: readonly string[]): Promise<ServerEvent[]> {
  async function* stream(): AsyncGenerator<string> {
    yield* chunks
  }
  return await Array.fromAsync(eventsOf(stream()))
}

it.each<[text: string, events: ServerEvent[]]>([
  ['data: x\n\n', [{ id: '', type: 'message', data: 'x' }]],
  [
    'retry: 2000\n\n: alive\n\nid: a-1\nevent: ready\ndata: {}\n\n',
    [{ id: 'a-1', type: 'ready', data: '{}' }],
  ],
  ['data: one\ndata:two\n\n', [{ id: '', type: 'message', data: 'one\ntwo' }]],
  ['data: x\r\n\r\n', [{ id: '', type: 'message', data: 'x' }]],
  ['data\n\n', [{ id: '', type: 'message', data: '' }]],
  ['event: gone\n\ndata: cut off', []],
  [
    'id: 1\ndata: a\n\ndata: b\n\n',
    [
      { id: '1', type: 'message', data: 'a' },
      { id: '1', type: 'message', data: 'b' },
    ],
  ],
])('reads %j', async (text, events) => {
  expect(await read([text])).toEqual(events)
})

it('reads the same however the stream is cut', async () => {
  const text = 'id: 1\r\nevent: a\r\ndata: x\r\n\r\n: c\n\ndata: one\ndata: two\n\nid: 2\ndata: z\n\n'
  const whole = await read([text])
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: text.length - 1 })), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), text.length]
      expect(await read(at.slice(1).map((end, i) => text.slice(at[i], end)))).toEqual(whole)
    }),
  )
})
