import { get, type Agent } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { listening } from './listening.ts'
import { workServer } from './workServer.ts'

async function start(workMs: number) {
  const console: string[] = []
  const program = workServer(
    workMs,
    (line) => console.push(line),
    () => console.push('stopped'),
  )
  const place = await listening(program.server, '127.0.0.1', 0)
  return { ...program, place, console, [Symbol.asyncDispose]: () => program.close() }
}

async function fetchText(url: string, agent?: Agent): Promise<[status: number, body: string]> {
  return await new Promise((resolve, reject) => {
    get(url, { agent: agent ?? false }, (response) => {
      text(response).then((body) => resolve([response.statusCode ?? 0, body]), reject)
    }).on('error', reject)
  })
}

it.each([
  ['/doWork', 200, 'Response sent after 1 ms\n'],
  ['/doWork?x=1', 200, 'Response sent after 1 ms\n'],
  ['/heartbeat', 200, 'tick\n'],
  ['/', 404, '404 page not found\n'],
  ['/dowork', 404, '404 page not found\n'],
])('answers %s with %d', async (path, status, body) => {
  await using server = await start(1)
  expect(await fetchText(`http://${server.place}${path}`)).toEqual([status, body])
})

it('tells its console when work begins and when it is answered', async () => {
  await using server = await start(1)
  await fetchText(`http://${server.place}/doWork`)
  await fetchText(`http://${server.place}/doWork`)
  expect(server.console).toEqual([
    'request 1 from 127.0.0.1: work begins',
    'request 1: answered after 1 ms',
    'request 2 from 127.0.0.1: work begins',
    'request 2: answered after 1 ms',
  ])
})

it('does one piece of work at a time', async () => {
  await using server = await start(20)
  await Promise.all(Array.from({ length: 4 }, () => fetchText(`http://${server.place}/doWork`)))
  expect(server.console.map((line) => line.replace(/.*: /, ''))).toEqual(
    Array.from({ length: 4 }, () => ['work begins', 'answered after 20 ms']).flat(),
  )
})

it('lets an open connection keep the only place, and takes the next when it is closed', async () => {
  await using server = await start(1)
  const [host = '', port = ''] = server.place.split(':')
  const holder = connect(Number(port), host)
  await new Promise((resolve) => holder.once('connect', resolve))
  const waiting = fetchText(`http://${server.place}/heartbeat`)
  const first = await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 50, 'waits'))])
  expect(first).toBe('waits')
  holder.destroy()
  expect(await waiting).toEqual([200, 'tick\n'])
})

it('keeps working when a client in line goes away', async () => {
  await using server = await start(30)
  const [host = '', port = ''] = server.place.split(':')
  const working = fetchText(`http://${server.place}/doWork`)
  const leaver = connect(Number(port), host)
  await new Promise((resolve) => leaver.once('connect', resolve))
  leaver.destroy()
  await working
  expect(await fetchText(`http://${server.place}/heartbeat`)).toEqual([200, 'tick\n'])
})

it('does not wait for a client that left while its work was done, or in line with its request sent', async () => {
  await using server = await start(30)
  const [host = '', port = ''] = server.place.split(':')
  for (let i = 0; i < 3; i++) {
    const leaver = connect(Number(port), host)
    leaver.write('GET /doWork HTTP/1.1\r\nHost: x\r\n\r\n')
    await new Promise((resolve) => setTimeout(resolve, 10))
    leaver.destroy()
  }
  expect(await fetchText(`http://${server.place}/doWork`)).toEqual([200, 'Response sent after 30 ms\n'])
  expect(server.console).toContain('request 1: the client left before the answer')
})

it('stops without an answer', async () => {
  const console: string[] = []
  const program = workServer(
    1,
    (line) => console.push(line),
    () => {
      console.push('stopped')
      void program.close()
    },
  )
  const place = await listening(program.server, '127.0.0.1', 0)
  await expect(fetchText(`http://${place}/stop`)).rejects.toThrow()
  expect(console).toEqual(['stopped'])
})

it('says who has the port', async () => {
  await using server = await start(1)
  const second = workServer(
    1,
    () => {},
    () => {},
  )
  const [host = '', port = ''] = server.place.split(':')
  await expect(listening(second.server, host, Number(port))).rejects.toThrow(
    `cannot listen on ${server.place}: another program has that port; choose one with --port, 0 for any free one`,
  )
  await expect(listening(second.server, host, Number(port), '--probe-port')).rejects.toThrow(
    'choose one with --probe-port',
  )
})
