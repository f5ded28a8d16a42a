import { once } from 'node:events'
import {
  createServer,
  request as send,
  Agent,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { Gateway, type GatewayOptions } from './gateway.ts'
import { readInstance, type FunctionSpec } from '../model/function.ts'

/** An HTTP server as function instance. */
export interface Instance extends AsyncDisposable {
  /** host:port */
  readonly text: string
  readonly port: number
  readonly server: Server
}

export async function startInstance(listener: RequestListener): Promise<Instance> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    text: `127.0.0.1:${port}`,
    port,
    server,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** An instance that answers with its name. */
export const named = (name: string): Promise<Instance> =>
  startInstance((request, response) => {
    request.resume()
    response.end(name)
  })

export interface TestGateway extends AsyncDisposable {
  readonly gateway: Gateway
  /** Puts a function whose instances are addresses. */
  put(name: string, spec: FunctionSpec): Promise<void>
  remove(name: string): Promise<void>
  get(path: string, headers?: Record<string, string>): Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: string
}

export async function startTestGateway(options: Partial<GatewayOptions> = {}): Promise<TestGateway> {
  const gateway = await Gateway.start({
    address: '127.0.0.1',
    port: 0,
    zones: ['zone-b'],
    node: 'node-1',
    dummy: false,
    gateways: [],
    unsignedPeers: [],
    hopKey: null,
    hopLimit: 1,
    transport: 'portable',
    workers: 1,
    log: { info: () => undefined, warn: () => undefined },
    ejected: () => undefined,
    ...options,
  })
  const agent = new Agent({ keepAlive: true })
  return {
    gateway,
    put: (name, spec) => gateway.apply([{ name, published: { spec, instances: spec.ips.map(addressed) } }]),
    remove: (name) => gateway.apply([{ name, published: null }]),
    get: (path, headers = {}) => get(gateway.port, path, headers, agent),
    [Symbol.asyncDispose]: async () => {
      agent.destroy()
      await gateway.close()
    },
  }
}

function addressed(text: string): { text: string; address: string; port: number } {
  const { host, port } = readInstance(text)
  return { text, address: host, port }
}

export async function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  agent: Agent | false = false,
): Promise<Answer> {
  const request = send({ host: '127.0.0.1', port, path, headers, agent })
  request.end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let body = ''
  response.setEncoding('utf8')
  for await (const text of response) body += text as string
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    body,
  }
}
