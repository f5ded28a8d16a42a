import { canonicalAddress, familyOf, isLoopback } from '../model/address.ts'

/** Who needs no credentials: anybody on this host, only the user Torb runs as, nobody. */
export type LocalTrust = 'any' | 'same-user' | 'none'

/** What of a request the decision rests on. */
export interface RequestFacts {
  readonly path: string
  readonly scheme: 'http' | 'https'
  /** As the socket has them; '' where it is gone. */
  readonly peerAddress: string
  readonly localAddress: string
  /** The Host header; null where there is not exactly one. */
  readonly host: string | null
  readonly origin: string | null
  readonly secFetchSite: string | null
  /** Forwarded, Via, X-Real-IP or any X-Forwarded-*: somebody speaks for somebody else. */
  readonly forwarded: boolean
  /** The bearer token: ours, another one, none sent. */
  readonly token: 'right' | 'wrong' | 'absent'
  /** The client certificate: signed by our authority, by another, none sent. */
  readonly certificate: 'right' | 'wrong' | 'absent'
}

export interface AccessRules {
  readonly localTrust: LocalTrust
  /** True for a name or address by which clients may call this host. */
  readonly isOwnName: (name: string) => boolean
  /** Whether the process at the other end runs as our user; asked only with `same-user`. */
  readonly isSameUser: () => boolean
}

export type Decision =
  | { readonly allow: true }
  | { readonly allow: false; readonly status: 401 | 403; readonly reason: string }

/**
 * Whether a request may pass: foreign pages never, health always, else credentials or local trust.
 *
 * Wrong credentials are refused even where none would be needed: whoever sends them is not who he thinks he is.
 */
export function decide(facts: RequestFacts, rules: AccessRules): Decision {
  if (facts.secFetchSite?.toLowerCase() === 'cross-site')
    return forbidden('a page of another site sent this request')
  if (facts.origin !== null && !isOwnOrigin(facts.origin, facts)) {
    return forbidden(
      `a page of ${printable(facts.origin)} sent this request; pages of other origins may not call this API`,
    )
  }
  if (facts.path === '/healthz') return allowed
  if (facts.token === 'right' || facts.certificate === 'right') return allowed
  if (facts.token === 'wrong') return unauthorized('the token is not the one of this Torb')
  if (facts.certificate === 'wrong')
    return unauthorized('the client certificate is not signed by the authority of this Torb')
  const foreign = whyNotLocal(facts, rules)
  return foreign === null ? allowed : unauthorized(foreign)
}

/** Why the place a request comes from is not enough, or null where it is. */
function whyNotLocal(facts: RequestFacts, rules: AccessRules): string | null {
  if (rules.localTrust === 'none') return 'every client needs credentials here'
  if (!isLocalPeer(facts.peerAddress, facts.localAddress)) return 'clients on other hosts need credentials'
  if (facts.forwarded) return 'a proxy forwarded this request, so it needs credentials'
  const name = facts.host === null ? null : hostName(facts.host)
  if (name === null || !rules.isOwnName(name)) {
    return `the Host header ${facts.host === null ? 'is missing' : printable(facts.host)} does not name this host (see --host-name), so the request needs credentials`
  }
  if (rules.localTrust === 'same-user' && !rules.isSameUser())
    return 'processes of other users need credentials'
  return null
}

function isLocalPeer(peer: string, local: string): boolean {
  if (familyOf(peer) === null) return false
  return isLoopback(peer) || (familyOf(local) !== null && canonicalAddress(peer) === canonicalAddress(local))
}

/** The name or address in a Host header, lower-cased, without port and brackets; null where it is malformed. */
export function hostName(header: string): string | null {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::\d{1,5})?$/i.exec(header)
  const name = (parts?.[1] ?? parts?.[2])?.toLowerCase()
  return name?.replace(/\.$/, '') ?? null
}

function isOwnOrigin(origin: string, { scheme, host }: RequestFacts): boolean {
  if (host === null) return false
  const own = `${scheme}://${host}`
  return URL.canParse(origin) && URL.canParse(own) && new URL(origin).origin === new URL(own).origin
}

const allowed: Decision = { allow: true }

function forbidden(reason: string): Decision {
  return { allow: false, status: 403, reason }
}

function unauthorized(reason: string): Decision {
  return { allow: false, status: 401, reason }
}

function printable(text: string): string {
  return JSON.stringify(text.slice(0, 100))
}
