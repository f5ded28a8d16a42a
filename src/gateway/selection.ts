import type { UpstreamNumber } from '../proxy/http/policy.ts'
import { mix32 } from '../schedulers/hash.ts'
import type { Board } from './board.ts'
import type { Choice, Route } from './route.ts'

/** No member is there to be asked. */
export const noneUsable = -1
/** There are some, but each has as many requests as it may. */
export const allFull = -2

/** Turns that are passed over at most before the list is searched: a schedule may be long. */
const maxPasses = 32

/**
 * Chooses a member and takes a place of its instance.
 *
 * Ejected members are left out, unless all are: then they are better than nothing.
 *
 * @param hash what method hash goes by
 * @param tried instances that are not to be asked: this request has done so already
 * @returns a member, `noneUsable` or `allFull`
 */
export function select(
  route: Route,
  choice: Choice,
  board: Board,
  now: number,
  hash: number,
  tried: readonly UpstreamNumber[],
): number {
  if (choice.order.length === 0) return noneUsable
  const by = route.method === 'wrr' ? byTurn : route.method === 'hash' ? byHash : byLoad
  const chosen = by(route, choice, board, now, hash, tried, false)
  return chosen === noneUsable ? by(route, choice, board, now, hash, tried, true) : chosen
}

/** Whether a member is to be asked at all, full or not. */
function isUsable(
  route: Route,
  member: number,
  board: Board,
  now: number,
  tried: readonly UpstreamNumber[],
  ejectedToo: boolean,
): boolean {
  const { isResolved, upstream } = route.members[member]!
  if (!isResolved || (tried.length > 0 && tried.includes(upstream))) return false
  return ejectedToo || route.ejection === null || !board.isEjected(upstream, now)
}

/** The next turn of the schedule; turns of members that cannot be had are passed over. */
function byTurn(
  route: Route,
  { order, position }: Choice,
  board: Board,
  now: number,
  _hash: number,
  tried: readonly UpstreamNumber[],
  ejectedToo: boolean,
): number {
  let missed = noneUsable
  let turn = 0
  for (let at = 0; at < maxPasses + order.length; at++) {
    turn = at < maxPasses ? board.turn(position, order.length) : (turn + 1) % order.length
    const member = order[turn]!
    if (!isUsable(route, member, board, now, tried, ejectedToo)) continue
    if (board.acquire(route.members[member]!.upstream, route.inFlight)) return member
    missed = allFull
  }
  // In steps of so many turns the next ones would meet only some of the members.
  board.giveBack(position, order.length, maxPasses)
  return missed
}

/** The member of the key's place in Maglev's table, else that of the next place. */
function byHash(
  route: Route,
  { lookup }: Choice,
  board: Board,
  now: number,
  hash: number,
  tried: readonly UpstreamNumber[],
  ejectedToo: boolean,
): number {
  const slots = lookup?.length ?? 0
  const home = mix32(hash) % slots
  let missed = noneUsable
  for (let step = 0; step < slots; step++) {
    const member = lookup![(home + step) % slots]!
    if (!isUsable(route, member, board, now, tried, ejectedToo)) continue
    if (board.acquire(route.members[member]!.upstream, route.inFlight)) return member
    missed = allFull
  }
  return missed
}

/** The member with the fewest requests for its weight, were it chosen; of equals the one whose turn it is. */
function byLoad(
  route: Route,
  { order, position }: Choice,
  board: Board,
  now: number,
  _hash: number,
  tried: readonly UpstreamNumber[],
  ejectedToo: boolean,
): number {
  const turn = board.turn(position, order.length)
  // Another Worker may take the last place in between: then once more, at most for as many as there are.
  for (let attempt = 0; attempt < order.length; attempt++) {
    let best = noneUsable
    let least = Infinity
    let missed = noneUsable
    for (let step = 0; step < order.length; step++) {
      const member = order[(turn + step) % order.length]!
      if (!isUsable(route, member, board, now, tried, ejectedToo)) continue
      const { upstream, weight } = route.members[member]!
      const active = board.active(upstream)
      if (route.inFlight > 0 && active >= route.inFlight) {
        missed = allFull
        continue
      }
      const load = (active + 1) / (weight || 1)
      if (load >= least) continue
      best = member
      least = load
    }
    if (best === noneUsable) return missed
    if (board.acquire(route.members[best]!.upstream, route.inFlight)) return best
  }
  return allFull
}
