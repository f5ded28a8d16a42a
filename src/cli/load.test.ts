import { createServer, type RequestListener } from 'node:http'
import { expect, it } from 'vitest'
import { listening } from './listening.ts'
import { Load, type Answer } from './load.ts'
import { probeServer } from './probes.ts'

async function serving(listener: RequestListener) {
  const server = createServer(listener)
  const place = await listening(server, '127.0.0.1', 0)
  return {
    place,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}

const never = new AbortController().signal

async function settled(load: Load): Promise<void> {
  while (load.unanswered > 0) await new Promise((resolve) => setTimeout(resolve, 2))
}

it('counts whole answers of status 2xx as responses and everything else as failed', async () => {
  let count = 0
  await using server = await serving((_, response) => {
    switch (count++ % 4) {
      case 0:
        response.end('well')
        break
      case 1:
        response.writeHead(503).end()
        break
      case 2:
        response.writeHead(200, { 'content-length': 10 }).write('half', () => response.destroy())
        break
      default:
        response.destroy()
    }
  })
  const answers: Answer[] = []
  const phases = [{ everyMs: 2, lastsMs: 16 }]
  const load = new Load(`http://${server.place}/`, phases, (answer) => answers.push(answer))
  await load.run(never)
  await settled(load)
  expect([load.requests, load.responses, load.failed]).toEqual([8, 2, 6])
  expect(load.failures.get('status 503')).toBe(2)
  expect([...load.failures.values()].reduce((sum, n) => sum + n)).toBe(6)
  expect(answers.filter(({ ok }) => ok)).toHaveLength(2)
})

it('counts a refused connection as failed', async () => {
  const gone = await serving(() => {})
  await gone[Symbol.asyncDispose]()
  const load = new Load(`http://${gone.place}/`, [{ everyMs: 1, lastsMs: 3 }])
  await load.run(never)
  await settled(load)
  expect([load.requests, load.responses, load.failed]).toEqual([3, 0, 3])
  expect([...load.failures.keys()]).toEqual(['ECONNREFUSED'])
})

it('closes its connections, and never waits for an answer', async () => {
  const connections: (string | undefined)[] = []
  await using server = await serving((request) => connections.push(request.headers.connection))
  const load = new Load(`http://${server.place}/`, [{ everyMs: 1, lastsMs: 5 }])
  await load.run(never)
  while (connections.length < 5) await new Promise((resolve) => setTimeout(resolve, 2))
  expect([load.requests, load.unanswered]).toEqual([5, 5])
  expect(new Set(connections)).toEqual(new Set(['close']))
  load.close()
  expect([load.unanswered, load.failed]).toEqual([0, 0])
})

it('ends with its signal', async () => {
  const end = new AbortController()
  await using server = await serving((_, response) => {
    response.end()
    end.abort()
  })
  const load = new Load(`http://${server.place}/`, [{ everyMs: 60_000, lastsMs: 600_000 }])
  await load.run(end.signal)
  await settled(load)
  expect([load.requests, load.responses]).toEqual([1, 1])
})

it('serves its figures as plain text', async () => {
  const load = new Load('http://127.0.0.1:1/', [{ everyMs: 800, lastsMs: 5000 }])
  load.requests = 12
  load.responses = 7
  load.failed = 2
  const probes = probeServer(load)
  const place = await listening(probes, '127.0.0.1', 0)
  const read = async (path: string): Promise<string> => (await fetch(`http://${place}${path}`)).text()
  // Before the first second is over both rates are the nominal one.
  expect(await read('/requestRate')).toBe('1.250000\n')
  expect(await read('/responseRate')).toBe('1.250000\n')
  expect(await read('/numRequests')).toBe('12\n')
  expect(await read('/numResponses')).toBe('7\n')
  expect(await read('/numFailed')).toBe('2\n')
  expect((await fetch(`http://${place}/else`)).status).toBe(404)
  probes.close()
  probes.closeAllConnections()
})
