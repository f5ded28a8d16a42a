const slash = 0x2f
const question = 0x3f
const dot = 0x2e
const prefix = Buffer.from('/function/')

/** What a request target says. One object, used again; positions are in the bytes that were read. */
export interface Target {
  kind: 'function' | 'moved' | 'not-a-function' | 'invalid'
  nameAt: number
  /** Where the name ends and the rest (`/<path>`, `?<query>` or nothing) begins. */
  nameEnd: number
}

/**
 * Reads `/function/<name>[/<any path>][?query]`. Empty, `.` and `..` segments are `moved`, to the cleaned path; escapes
 * such as %2F stay as they are.
 */
export function readTarget(bytes: Uint8Array, from: number, end: number, into: Target): void {
  let pathEnd = from
  let segments = 0
  let unclean = false
  for (; pathEnd < end; pathEnd++) {
    const byte = bytes[pathEnd]
    if (byte === question) break
    if (byte !== slash) continue
    segments++
    if (bytes[pathEnd + 1] === slash && pathEnd + 1 < end) unclean = true
    else if (bytes[pathEnd + 1] === dot && pathEnd + 1 < end) unclean ||= isDots(bytes, pathEnd + 1, end)
  }
  if (unclean) {
    into.kind = 'moved'
    return
  }
  for (let at = 0; at < prefix.length; at++) {
    if (bytes[from + at] === prefix[at] && from + at < pathEnd) continue
    into.kind = segments < 2 ? 'invalid' : 'not-a-function'
    return
  }
  into.kind = 'function'
  into.nameAt = from + prefix.length
  let at = into.nameAt
  while (at < pathEnd && bytes[at] !== slash) at++
  into.nameEnd = at
}

/** A whole segment of `.` or `..`. */
function isDots(bytes: Uint8Array, from: number, end: number): boolean {
  const after = bytes[from + 1] === dot && from + 1 < end ? from + 2 : from + 1
  return after >= end || bytes[after] === slash || bytes[after] === question
}

/** The target with its path cleaned as Go's router does: no empty, `.` and `..` segments, a closing slash stays. */
export function cleanTarget(target: string): string {
  const query = target.indexOf('?')
  const path = query < 0 ? target : target.slice(0, query)
  const clean: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') clean.pop()
    else if (segment !== '' && segment !== '.') clean.push(segment)
  }
  const closing = clean.length > 0 && /\/\.{0,2}$/.test(path) ? '/' : ''
  return `/${clean.join('/')}${closing}${query < 0 ? '' : target.slice(query)}`
}
