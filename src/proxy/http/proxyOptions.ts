import { type HeadLimits, usualLimits } from './head.ts'
import { answerLimit, fieldsLimit } from './policy.ts'

/** All in milliseconds, bytes or numbers of things. */
export interface ProxyOptions {
  /** Upstream numbers are below this. */
  readonly upstreams: number
  /** Idle connections that are kept to one upstream, … */
  readonly idlePerUpstream: number
  /** … and for how long. Shorter than what servers grant (nginx 75 s, Go 60 s or more, Node 5 s), or it is they who end them. */
  readonly upstreamIdleMs: number
  /** A client between two requests. */
  readonly clientIdleMs: number
  /** From the first byte of a head to its end. */
  readonly headMs: number
  /** Until a client sends more of its body. */
  readonly bodyMs: number
  /** Until a client has taken what is sent to it. */
  readonly takeMs: number
  readonly connectMs: number
  /** Until an upstream answers, or sends more of its answer. */
  readonly responseMs: number
  /** Both sides of a tunnel silent. */
  readonly tunnelIdleMs: number
  /** How long what a client still sends is read and dropped after the last byte to it, so that it is not reset. */
  readonly lingerMs: number
  /** How often time-outs are looked for; each may come so much later. */
  readonly sweepMs: number
  readonly head: HeadLimits
  /** Largest body of a request that says its length. */
  readonly bodyBytes: number
  /** Bodies of which so much is still to come, and tunnels that bring so much at once, go by without a copy. */
  readonly relayBytes: number
  /** Connections that are tried for one request. */
  readonly attempts: number
  /** One of so many requests is logged; 0: none. */
  readonly logEvery: number
}

export const usualOptions: ProxyOptions = {
  upstreams: 4096,
  idlePerUpstream: 1024,
  upstreamIdleMs: 4000,
  clientIdleMs: 75_000,
  headMs: 10_000,
  bodyMs: 60_000,
  takeMs: 60_000,
  connectMs: 3000,
  responseMs: 60_000,
  tunnelIdleMs: 3_600_000,
  lingerMs: 2000,
  sweepMs: 250,
  head: usualLimits,
  bodyBytes: Infinity,
  relayBytes: 32_768,
  attempts: 3,
  logEvery: 1,
}

/** What the writer of heads adds at most: Host, Connection, Via and framing lines. */
const addedBytes = 1024

/**
 * How a slot is divided. A client's: what it sends, then room for an answer of the proxy's own. An upstream's: room for a
 * rewritten head, then what it sends.
 */
export interface SlotLayout {
  readonly clientRoom: number
  readonly upstreamFrom: number
}

/** Colours of slots: they begin at so many different lines of a cache, whose sets repeat at the distance of slots. */
const colours = 16
const colourBytes = 128

/** How far in a slot is used: neighbours differ. */
export const colour = (slot: number): number => ((slot * 5) % colours) * colourBytes

/** @throws RangeError where the slots are too small for the limits */
export function slotLayout(slotBytes: number, options: ProxyOptions): SlotLayout {
  const upstreamFrom = options.head.headBytes + fieldsLimit + addedBytes
  const least = upstreamFrom + options.head.headBytes + colours * colourBytes
  if (slotBytes <= least) {
    throw new RangeError(
      `slots of ${slotBytes} bytes are too small for heads of ${options.head.headBytes}: take more than ${least}`,
    )
  }
  return { clientRoom: slotBytes - answerLimit, upstreamFrom }
}
