import { fastifySwagger } from '@fastify/swagger'
import {
  fastify,
  LogController,
  type FastifyBaseLogger,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
} from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import type { z } from 'zod'
import type { Control } from '../control/control.ts'
import { SockDiag } from '../kernel/netlink/sockDiag.ts'
import { openFileLimit } from '../kernel/limits.ts'
import { endpointText } from '../model/address.ts'
import type { DaemonOptions } from '../model/daemon.ts'
import { answerError, statusFor } from './answer.ts'
import { decodeBody } from './body.ts'
import { boundConnections, connectionLimit } from './connections.ts'
import type { App } from './describe.ts'
import { defaultListen, listenPlace } from './endpoint.ts'
import { EventStream } from './eventStream.ts'
import type { FunctionFacts } from './functionFacts.ts'
import { guard } from './guard.ts'
import { goJson } from './json.ts'
import { isOwnListener } from './listeners.ts'
import { EventCounts } from './metrics/daemon.ts'
import { ProcessMetrics } from './metrics/process.ts'
import { openapiDocument } from './openapi.ts'
import { backendRoutes } from './routes/backends.ts'
import { counterRoutes } from './routes/counters.ts'
import { eventsRoute } from './routes/events.ts'
import { explainRoutes } from './routes/explain.ts'
import { functionRoutes } from './routes/functions.ts'
import { healthRoute } from './routes/health.ts'
import { metricsRoute } from './routes/metrics.ts'
import { openapiRoute } from './routes/openapi.ts'
import { planeRoute } from './routes/plane.ts'
import { serviceRoutes } from './routes/services.ts'
import { sourceRoutes } from './routes/sources.ts'
import { readBySchema } from './schema.ts'
import { readTls } from './tls.ts'
import { loadToken } from './token.ts'
import type { AnnouncerStatus } from './wirePlane.ts'

/** Bytes of a request body. */
const bodyLimit = 1024 * 1024
const timeouts = {
  /** For the headers of a request, counted from the connection or the end of the request before. */
  headersTimeout: 30_000,
  /** For a whole request: who writes slower is answered 408. */
  requestTimeout: 60_000,
  keepAliveTimeout: 75_000,
  /** Without a byte in either direction; event streams have their heartbeat. */
  connectionTimeout: 120_000,
}
/** How long requests in work may go on when the API closes. */
const closingMs = 5000

export interface ApiOptions {
  readonly control: Control
  /** listen, token_file, local_trust, host_names and the tls_ ones. */
  readonly options: DaemonOptions
  /** Where the token is kept unless `token_file` says otherwise. */
  readonly data: string
  readonly version: string
  readonly log: FastifyBaseLogger
  /** Stands instead of a token file; default TORB_TOKEN. */
  readonly environmentToken?: string | undefined
  readonly heartbeatMs?: number
  /** How those are who tell others of services. */
  readonly announcers?: (() => readonly AnnouncerStatus[]) | undefined
  readonly functions: FunctionFacts
}

export interface Api {
  /** Where a client on this host reaches it. */
  readonly url: string
  readonly address: string
  readonly port: number
  /** Whether a backend there would be this API itself; port 0: whatever port a client connects to. */
  isOwnListener(address: string, port: number): boolean
  close(): Promise<void>
}

/**
 * Serves the REST API.
 *
 * @throws Error in one sentence where the address, the token or a certificate cannot be had
 */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { listen, tls_cert: cert } = options.options
  const place = await listenPlace('the API', listen ?? defaultListen)
  const made = await makeApi(options)
  const { app, warning } = made
  boundConnections(app.server, connectionLimit(openFileLimit()))
  try {
    await app.listen({ port: place.port, host: place.address })
  } catch (error) {
    await made.close()
    throw new Error(
      `cannot listen on ${endpointText(place.address, place.port)}: ${whyNotListening(error)}`,
      { cause: error },
    )
  }
  if (warning !== '') options.log.warn(warning)
  const { address, port } = app.server.address() as AddressInfo
  const reachable = address === '::' || address === '0.0.0.0' ? '127.0.0.1' : address
  return {
    url: `${cert === undefined ? 'http' : 'https'}://${endpointText(reachable, port)}`,
    address,
    port,
    isOwnListener: (to, at) => isOwnListener([{ address, port }], to, at),
    close: () => made.close(),
  }
}

/** The API without a listener, as tests use it. */
export async function makeApi(options: ApiOptions): Promise<{
  readonly app: App
  readonly warning: string
  close(): Promise<void>
}> {
  const { control, functions, version, announcers = () => [] } = options
  const {
    token_file: tokenFile = join(options.data, 'token'),
    local_trust: localTrust = 'any',
    host_names: names = [],
  } = options.options
  const token = await loadToken(tokenFile, options.environmentToken ?? process.env['TORB_TOKEN'])
  const app = fastify(await serverOptions(options)).withTypeProvider<ZodTypeProvider>() as unknown as App
  const sockDiag = localTrust === 'same-user' ? await openSockDiag() : null
  const stream = new EventStream(control.events, Date.now(), options.heartbeatMs)
  const eventCounts = new EventCounts(control.events)
  const ofProcess = new ProcessMetrics(openFileLimit(), version)

  app.setValidatorCompiler<z.ZodType>(({ schema, httpPart }) => (data: unknown) => {
    try {
      return readBySchema(
        schema,
        httpPart === 'body' ? decodeBody((data as Buffer | null) ?? Buffer.alloc(0)) : data,
      )
    } catch (error) {
      return { error: error as Error }
    }
  })
  // Answers are written by answerJson; their schemas are for the document.
  app.setSerializerCompiler(() => goJson)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, request, reply) => answerFailure(error, request, reply))
  guard(app, {
    token,
    localTrust,
    hostNames: new Set(names.map((name) => name.toLowerCase())),
    judgesCertificates: options.options.tls_client_ca !== undefined,
    sockDiag,
  })
  await app.register(fastifySwagger, openapiDocument(version))
  serviceRoutes(app, control)
  backendRoutes(app, control)
  functionRoutes(app, functions)
  sourceRoutes(app, functions)
  counterRoutes(app, control)
  metricsRoute(app, control, eventCounts, ofProcess, announcers, functions)
  eventsRoute(app, stream)
  planeRoute(app, control, version, announcers)
  explainRoutes(app, control, functions)
  healthRoute(app)
  openapiRoute(app)
  await app.ready()

  return {
    app,
    warning: token.warning,
    close: async () => {
      stream.close()
      const late = setTimeout(() => app.server.closeAllConnections(), closingMs)
      await app.close()
      clearTimeout(late)
      eventCounts.close()
      ofProcess.close()
      sockDiag?.close()
    },
  }
}

async function serverOptions({ options, log }: ApiOptions): Promise<FastifyServerOptions> {
  const common = {
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit,
    return503OnClosing: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle' as const,
    requestTimeout: timeouts.requestTimeout,
    keepAliveTimeout: timeouts.keepAliveTimeout,
    connectionTimeout: timeouts.connectionTimeout,
    // Longer ids are refused by their schema, with a sentence.
    routerOptions: { maxParamLength: 65_536 },
    frameworkErrors: answerFailure,
    clientErrorHandler: answerClientError,
  }
  const { headersTimeout } = timeouts
  const tls = await readTls(options)
  if (tls === null) return { ...common, http: { headersTimeout } } as FastifyServerOptions
  const { ca, ...own } = tls
  return {
    ...common,
    https: {
      headersTimeout,
      handshakeTimeout: 10_000,
      ...own,
      // Who has no certificate may still have the token, so the handshake lets all in.
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: false }),
    },
  } as FastifyServerOptions
}

async function openSockDiag(): Promise<SockDiag> {
  try {
    return await SockDiag.open()
  } catch (error) {
    throw new Error(
      `--local-trust same-user needs the kernel's sock_diag (${(error as Error).message}); choose --local-trust any or none`,
      { cause: error },
    )
  }
}

function answerFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { status, text, internal } = statusFor(error)
  if (internal)
    request.log.error({ err: error, method: request.method, url: request.url }, 'a request failed')
  return answerError(reply, status, text)
}

/** What could not be read as HTTP at all. */
function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, text] = clientErrors[error.code ?? ''] ?? [
    '400 Bad Request',
    'the request is not valid HTTP/1.1',
  ]
  const body = goJson({ error: text })
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  )
}

const clientErrors: Readonly<Record<string, readonly [status: string, text: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    '408 Request Timeout',
    'the request took longer than 60 s to arrive, or its headers longer than 30 s',
  ],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are larger than 16 KiB'],
}

function whyNotListening(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException
  return listenErrors[code] ?? message
}

const listenErrors: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has that port (see "ss -ltnp"); choose one with -l',
  EADDRNOTAVAIL: 'this host does not have that address (see "ip address"); choose one with -l',
  EACCES: 'ports below 1024 need CAP_NET_BIND_SERVICE; choose one above with -l',
}
