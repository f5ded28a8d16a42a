import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import { text } from 'node:stream/consumers'
import type { AddressInfo } from 'node:net'
import type { IncomingMessage } from 'node:http'
import { expect, it } from 'vitest'
import { startDaemon } from '../rig.ts'

const port = 14_448

async function backend(name: string, ends: DisposableStack): Promise<number> {
  const server = createServer((_, answer) => answer.end(name)).listen(0, '127.0.0.1')
  ends.defer(() => {
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

it('a service of protocol http by the API: balanced by request, counted, explained, alone at its address', async () => {
  await using daemon = await startDaemon()
  using ends = new DisposableStack()
  const agent = ends.adopt(new Agent({ keepAlive: true, maxSockets: 1 }), (it) => it.destroy())
  const ask = async (): Promise<string> => {
    const [answer] = (await once(get({ host: '127.0.0.1', port, agent }), 'response')) as [IncomingMessage]
    return text(answer)
  }
  const service = { host: '127.0.0.1', port, protocol: 'HTTP', method: 'wrr' }
  expect(await daemon.api('PUT', '/service/shop', service)).toMatchObject({ status: 200 })
  for (const [name, weight] of Object.entries({ a: 3, b: 1 })) {
    const options = { host: '127.0.0.1', port: await backend(name, ends), weight }
    expect(await daemon.api('PUT', `/service/shop/${name}`, options)).toMatchObject({ status: 200 })
  }
  const flow = `/explain?source=127.0.0.1&destination=127.0.0.1:${port}`
  expect((await daemon.api('GET', flow)).body).toMatchObject({ service: 'shop' })

  const answers: string[] = []
  for (let turn = 0; turn < 8; turn++) answers.push(await ask())
  expect(answers.sort().join('')).toBe('aaaaaabb')
  expect((await daemon.api('GET', '/service/shop')).body).toMatchObject({
    options: { protocol: 'http' },
    statistics: { connections: 8, active: 0, errors: 0, queue: { waiting: 0, overloaded: 0, expired: 0 } },
  })

  const tcp = { host: '127.0.0.1', port, protocol: 'tcp' }
  expect(await daemon.api('PUT', '/service/raw', tcp)).toMatchObject({ status: 409 })
  const announced = { ...service, port: port + 1, proxy_protocol: 'v2' }
  expect(await daemon.api('PUT', '/service/pp', announced)).toMatchObject({ status: 400 })

  expect(await daemon.api('DELETE', '/service/shop/a')).toMatchObject({ status: 200 })
  expect([await ask(), await ask()]).toEqual(['b', 'b'])
})
