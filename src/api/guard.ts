import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import type { Endpoint, SockDiag } from '../kernel/netlink/sockDiag.ts'
import { addressBytes, canonicalAddress } from '../model/address.ts'
import { decide, type LocalTrust } from './access.ts'
import { answerError } from './answer.ts'
import type { App } from './describe.ts'
import { factsOf } from './facts.ts'
import { isLocalAddress } from './listeners.ts'
import { isKnownPath, judgePath } from './path.ts'
import type { Token } from './token.ts'

export interface Guard {
  readonly token: Token
  readonly localTrust: LocalTrust
  /** Lower-cased names besides addresses and localhost. */
  readonly hostNames: ReadonlySet<string>
  readonly judgesCertificates: boolean
  /** null where local trust does not ask for the user. */
  readonly sockDiag: SockDiag | null
}

/** What stands before every route: access, the form of the path, unknown routes, the type of the body. In this order. */
export function guard(app: App, rules: Guard): void {
  const patterns = new Set<string>()
  const sameUser = new WeakMap<Socket, boolean>()
  const isOwnName = (name: string): boolean =>
    name === 'localhost' || rules.hostNames.has(name) || isLocalAddress(name)
  const isSameUser = (socket: Socket): boolean => {
    const known = sameUser.get(socket)
    if (known !== undefined) return known
    const same = rules.sockDiag !== null && ownerOfPeer(rules.sockDiag, socket) === process.geteuid?.()
    sameUser.set(socket, same)
    return same
  }

  app.addHook('onRoute', ({ url }) => void patterns.add(url))
  app.addHook('onRequest', async (request, reply) => {
    const { raw } = request
    const decision = decide(factsOf(raw, rules.token.value, rules.judgesCertificates), {
      localTrust: rules.localTrust,
      isOwnName,
      isSameUser: () => isSameUser(raw.socket),
    })
    if (!decision.allow) {
      if (decision.status === 403) return answerError(reply, 403, decision.reason)
      const cure = `send "Authorization: Bearer" with the token in ${rules.token.place}${rules.judgesCertificates ? ', or a client certificate' : ''}`
      return answerError(reply.header('www-authenticate', 'Bearer'), 401, `${decision.reason}: ${cure}`)
    }
    return (
      refusedPath(request, reply) ??
      (request.is404 ? unrouted(request, reply, patterns) : refusedType(request, reply))
    )
  })
  app.setNotFoundHandler(async (request, reply) => unrouted(request, reply, patterns))
}

function refusedPath({ raw }: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  const route = judgePath(raw.url ?? '')
  if (route.kind === 'moved') return reply.code(301).header('location', route.location).send()
  if (route.kind === 'malformed') return answerError(reply, 400, route.reason)
  return route.kind === 'missing' ? notFound(reply) : undefined
}

function unrouted({ raw }: FastifyRequest, reply: FastifyReply, patterns: Iterable<string>): FastifyReply {
  return isKnownPath(patterns, raw.url ?? '') ? reply.code(405).send() : notFound(reply)
}

/** As Go's net/http says it. */
function notFound(reply: FastifyReply): FastifyReply {
  return reply.code(404).header('content-type', 'text/plain; charset=utf-8').send('404 page not found\n')
}

/** Pages of other origins can send text/plain and forms without being asked; application/json they cannot. */
function refusedType({ headers }: FastifyRequest, reply: FastifyReply): FastifyReply | undefined {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (!hasBody || type === 'application/json') return undefined
  return answerError(
    reply,
    415,
    `a body must be application/json, ${type === undefined || type === '' ? 'and this one names no type' : `not ${type}`}: add -H "Content-Type: application/json"`,
  )
}

function ownerOfPeer(diag: SockDiag, socket: Socket): number | null {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  if (
    remoteAddress === undefined ||
    remotePort === undefined ||
    localAddress === undefined ||
    localPort === undefined
  )
    return null
  return diag.ownerOf(endpointOf(remoteAddress, remotePort), endpointOf(localAddress, localPort))
}

function endpointOf(address: string, port: number): Endpoint {
  return { address: addressBytes(canonicalAddress(address)), port }
}
