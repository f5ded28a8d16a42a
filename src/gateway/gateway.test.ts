import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { ringMissing } from '../kernel/uring/probe.ts'
import {
  get,
  named,
  startInstance,
  startTestGateway,
  type Instance,
  type TestGateway,
} from './gatewaySuite.ts'

const noRing = await ringMissing()
if (noRing !== null) console.warn(`the gateway on io_uring is not tested: ${noRing}`)

async function bodies(gateway: TestGateway, path: string, count: number): Promise<string> {
  let all = ''
  for (let i = 0; i < count; i++) all += (await gateway.get(path)).body
  return all
}

/** Why a connection cannot be had, or how it ends. */
async function failureOf(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'close')
    return ''
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  } finally {
    socket.destroy()
  }
}

describe.each([
  { transport: 'portable', workers: 1 },
  ...(noRing === null
    ? ([
        { transport: 'ring', workers: 1 },
        { transport: 'ring', workers: 2 },
      ] as const)
    : []),
] as const)('the gateway on $transport with $workers Workers', (options) => {
  it('tries as many instances as the function says', async () => {
    await using good = await named('good')
    await using gateway = await startTestGateway(options)
    // Nobody listens there.
    const ips = [...Array.from({ length: 8 }, (_, i) => `127.0.0.9:${i + 1}`), good.text]
    const spec = { ips, weights: Array<number>(9).fill(1), ejection: null }
    await gateway.put('f', { ...spec, retries: 8 })
    expect(await gateway.get('/function/f')).toMatchObject({ status: 200, body: 'good' })
    await gateway.put('g', { ...spec, retries: 7 })
    expect((await gateway.get('/function/g')).status).toBe(502)
  })

  it('tries another instance where a gateway would be next, and one that the list has twice only once', async () => {
    await using good = await named('good')
    const gateways = ['127.0.0.9:1']
    await using gateway = await startTestGateway({ ...options, gateways })
    const ips = ['127.0.0.9:2', '127.0.0.9:2', '127.0.0.9:1', good.text]
    await gateway.put('f', { ips, weights: [1, 1, 1, 1], ejection: null, retries: 1 })
    expect(await gateway.get('/function/f')).toMatchObject({ status: 200, body: 'good' })
  })

  it('lets clients wait until it begins', async () => {
    await using a = await named('A')
    await using gateway = await startTestGateway({ ...options, held: true })
    const early = Array.from({ length: 20 }, () => get(gateway.gateway.port, '/function/f'))
    const gone = connect(gateway.gateway.port, '127.0.0.1')
    await once(gone, 'connect')
    gone.destroy()
    await gateway.put('f', { ips: [a.text], weights: [1] })
    gateway.gateway.begin()
    expect((await Promise.all(early)).map(({ body }) => body)).toEqual(Array(20).fill('A'))
    expect(await bodies(gateway, '/function/f', 2)).toBe('AA')
  })

  it('resets those who wait when it ends before it began', async () => {
    const gateway = await startTestGateway({ ...options, held: true })
    const failure = failureOf(gateway.gateway.port)
    await new Promise((resolve) => setTimeout(resolve, 50))
    await gateway[Symbol.asyncDispose]()
    expect(await failure).toMatch(/^(ECONNRESET)?$/)
  })

  it('does not write a long Location into the heads of others', async () => {
    await using a = await named('A')
    await using gateway = await startTestGateway(options)
    await gateway.put('f', { ips: [a.text], weights: [1] })
    const ports = Array.from({ length: 6 }, () => gateway.gateway.port)
    const clients = await Promise.all(
      ports.map(async (port) => {
        const socket = connect(port, '127.0.0.1')
        socket.write('GET /function/f HTTP/1.1\r\nHost: a\r\n')
        await once(socket, 'connect')
        return socket
      }),
    )
    const { status, headers } = await gateway.get(`//${'a'.repeat(1000)}`)
    expect([status, headers.location]).toEqual([301, `/${'a'.repeat(1000)}`])
    expect((await gateway.get(`//${'a'.repeat(8000)}`)).status).toBe(414)
    for (const socket of clients) {
      socket.end('Connection: close\r\n\r\n')
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    }
  })

  it('goes to the new address of a name at once, whatever connections there are to the old one', async () => {
    await using before = await named('before')
    await using after = await named('after')
    await using gateway = await startTestGateway(options)
    const put = ({ port }: Instance): Promise<void> => {
      const instances = [{ text: 'worker.example', address: '127.0.0.1', port }]
      const spec = { ips: ['worker.example'], weights: [1] }
      return gateway.gateway.apply([{ name: 'f', published: { spec, instances } }])
    }
    await put(before)
    expect(await bodies(gateway, '/function/f', 2)).toBe('beforebefore')
    await put(after)
    expect(await bodies(gateway, '/function/f', 2)).toBe('afterafter')
  })

  it('refuses clients while it lets requests finish, and after that', async () => {
    let finish = (): void => undefined
    await using slow = await startInstance((_request, response) => {
      finish = () => void response.end('finished')
    })
    const gateway = await startTestGateway(options)
    const { port } = gateway.gateway
    await gateway.put('f', { ips: [slow.text], weights: [1] })
    const answer = gateway.get('/function/f')
    await once(slow.server, 'request')
    const closed = gateway.gateway.close()
    await expect.poll(() => failureOf(port)).toBe('ECONNREFUSED')
    finish()
    expect((await answer).body).toBe('finished')
    await Promise.all([closed, gateway[Symbol.asyncDispose]()])
    expect(await failureOf(port)).toBe('ECONNREFUSED')
  })

  it('tells that a Worker has died, whatever it was at', async () => {
    const failures: Error[] = []
    const failed = (error: Error): void => void failures.push(error)
    await using gateway = await startTestGateway({ ...options, failed })
    // No transport has words for it.
    const instances = [{ text: 'nowhere', address: 'nowhere', port: 70_000 }]
    const published = { spec: { ips: ['nowhere'], weights: [1] }, instances }
    await gateway.gateway.apply([{ name: 'f', published }])
    const socket = connect(gateway.gateway.port, '127.0.0.1').on('error', () => undefined)
    socket.write('GET /function/f HTTP/1.1\r\nHost: a\r\n\r\n')
    await expect
      .poll(() => failures[0]?.message)
      .toMatch(/^a Worker of the gateway has died: .*(nowhere|70000)/)
    socket.destroy()
  })

  it('has those who wait go on as soon as there is a place, in whichever Worker', async () => {
    await using quick = await named('quick')
    await using gateway = await startTestGateway(options)
    const limits = { in_flight: 1, queue: 1000, wait: '1h' }
    await gateway.put('f', { ips: [quick.text], weights: [1], limits })
    for (let round = 0; round < 4; round++) {
      const all = Array.from({ length: 50 }, () => get(gateway.gateway.port, '/function/f'))
      const statuses = (await Promise.all(all)).map(({ status }) => status)
      expect(statuses).toEqual(Array<number>(50).fill(200))
    }
  })

  it('has those who wait go on where another function has left their instance', async () => {
    const finish: (() => void)[] = []
    await using slow = await startInstance((_request, response) => {
      finish.push(() => void response.end())
    })
    await using gateway = await startTestGateway(options)
    const spec = { ips: [slow.text], weights: [1] }
    await gateway.put('f', spec)
    await gateway.put('g', { ...spec, limits: { in_flight: 1, queue: 1, wait: '1h' } })
    const first = gateway.get('/function/f')
    await expect.poll(() => finish.length).toBe(1)
    const second = gateway.get('/function/g')
    await expect.poll(() => gateway.gateway.state('g')?.waiting).toBe(1)
    finish[0]?.()
    await expect.poll(() => finish.length).toBe(2)
    finish[1]?.()
    expect([(await first).status, (await second).status]).toEqual([200, 200])
  })

  it('survives that the name of an instance does not resolve any more while it has a request', async () => {
    const failures: Error[] = []
    const held: Socket[] = []
    await using instance = await startInstance((request, response) => {
      if (request.url === '/held' && held.push(request.socket) === 1) return
      response.end('answer')
    })
    const failed = (error: Error): void => void failures.push(error)
    await using gateway = await startTestGateway({ ...options, workers: 1, failed })
    const put = (address: string): Promise<void> => {
      const instances = [{ text: 'worker.example', address, port: instance.port }]
      const spec = { ips: ['worker.example'], weights: [1] }
      return gateway.gateway.apply([{ name: 'f', published: { spec, instances } }])
    }
    await put('127.0.0.1')
    expect((await gateway.get('/function/f')).body).toBe('answer')
    const answer = gateway.get('/function/f/held')
    await expect.poll(() => held.length).toBe(1)
    await put('')
    held[0]?.destroy()
    expect((await answer).body).toBe('answer')
    expect((await gateway.get('/function/f')).status).toBe(502)
    expect(failures).toEqual([])
  })

  it('chooses in the order of the contract', async () => {
    await using a = await named('A')
    await using b = await named('B')
    await using gateway = await startTestGateway(options)
    expect(gateway.gateway.portableReason).toBe('')
    await gateway.put('resnet', { ips: [a.text, b.text], weights: [3, 1] })
    expect(await bodies(gateway, '/function/resnet', 40)).toBe('AAAB'.repeat(10))
    await gateway.put('resnet', { ips: [a.text, b.text], weights: [0, 2] })
    expect(await bodies(gateway, '/function/resnet', 6)).toBe('BBBBBB')
    const state = gateway.gateway.state('resnet')
    expect(state?.instances.map(({ requests, successful }) => [requests, successful])).toEqual([
      [30, 30],
      [16, 16],
    ])
  })
})

describe.skipIf(noRing !== null)('a gateway whose Workers get no ring, though the probe had one', () => {
  /** Refuses the ring as a Worker does whose io_uring_setup(2) failed. */
  const refusing = (message: string, code: string): URL => {
    const failed = JSON.stringify({ type: 'failed', message, code })
    const real = JSON.stringify(new URL('worker.ts', import.meta.url).href)
    return new URL(
      `data:text/javascript,${encodeURIComponent(`
      import { parentPort, workerData } from 'node:worker_threads'
      if (workerData.listen.on === 'ring') parentPort.postMessage(${failed})
      else await import(${real})`)}`,
    )
  }

  it.each([
    ['io_uring_setup: out of memory', 'ENOMEM', /of 2 Workers .*\(ENOMEM\): raise .*, or start fewer/],
    ['io_uring_setup: too many files', 'EMFILE', /\(EMFILE\): raise RLIMIT_NOFILE, or start fewer/],
    ['no such thread', '', /its ring: no such thread: start fewer Workers$/],
  ])('says why, and serves: %s', async (message, code, reason) => {
    const lines: string[] = []
    await using a = await named('A')
    await using gateway = await startTestGateway({
      transport: 'auto',
      workers: 2,
      script: refusing(message, code),
      log: { info: () => undefined, warn: (_fields, text) => lines.push(text) },
    })
    await gateway.put('f', { ips: [a.text], weights: [1] })
    expect((await gateway.get('/function/f')).body).toBe('A')
    expect(gateway.gateway).toMatchObject({
      transport: 'portable',
      workers: 1,
      portableReason: expect.stringMatching(reason) as string,
    })
    expect(lines).toEqual([expect.stringContaining(gateway.gateway.portableReason)])
  })

  it('fails where io_uring was asked for', async () => {
    const started = startTestGateway({ transport: 'ring', script: refusing('no', 'ENOMEM') })
    await expect(started).rejects.toThrow(/^no io_uring for the gateway: .*\(ENOMEM\)/)
  })
})
