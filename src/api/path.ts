/** What is to be done with a request target before it is routed. */
export type Route =
  | { readonly kind: 'route' }
  /** Double slashes or dot segments: where it moved, with its query. */
  | { readonly kind: 'moved'; readonly location: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'malformed'; readonly reason: string }

/** Judges a request target as Go's routers do: cleaned paths by redirection, trailing slashes unknown. */
export function judgePath(target: string): Route {
  if (!target.startsWith('/')) return { kind: 'malformed', reason: 'the request target must be a path' }
  const query = target.search(/[?#]/)
  const path = query < 0 ? target : target.slice(0, query)
  const segments = path.split('/').slice(1)
  let decoded: string[]
  try {
    decoded = segments.map((segment) => decodeURIComponent(segment))
  } catch {
    return { kind: 'malformed', reason: 'the path holds a % escape that is not UTF-8' }
  }
  const clean: string[] = []
  segments.forEach((segment, index) => {
    const name = decoded[index] ?? ''
    if (name === '..') clean.pop()
    else if (name !== '' && name !== '.') clean.push(segment)
  })
  const trailing = decoded.at(-1) === ''
  const cleaned = clean.length === 0 ? '/' : `/${clean.join('/')}${trailing ? '/' : ''}`
  if (cleaned !== path) return { kind: 'moved', location: cleaned + (query < 0 ? '' : target.slice(query)) }
  return trailing ? { kind: 'missing' } : { kind: 'route' }
}

/** True where one of the patterns (`/service/:vs`) has the path, whatever the method. */
export function isKnownPath(patterns: Iterable<string>, target: string): boolean {
  const segments = (target.split(/[?#]/, 1)[0] ?? '').split('/')
  for (const pattern of patterns) {
    const parts = pattern.split('/')
    if (
      parts.length === segments.length &&
      parts.every((part, i) => part.startsWith(':') || part === segments[i])
    )
      return true
  }
  return false
}
