import { isDeepStrictEqual } from 'node:util'
import type { ConfiguredService } from '../control/control.ts'
import { patchBackend, type BackendBody, type BackendOptions } from '../model/backend.ts'
import { patchService, type ServiceBody, type ServiceOptions } from '../model/service.ts'

/** One call of the REST API, and what it is for. */
export interface Step {
  readonly method: 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: object
  readonly what: string
}

export interface HeldService {
  readonly options: ServiceOptions
  /** Owned by the daemon's own configuration file: REST may not delete it. */
  readonly configured: boolean
  /** Their weights as configured, not as in force. */
  readonly backends: ReadonlyMap<string, BackendOptions>
}

/**
 * The fewest calls that make of what a Torb holds what a file wants. What the file does not say stays: fields it leaves
 * out, and, without `prune`, services and backends that it does not name.
 *
 * @throws Refusal where the file asks for what no service can be
 */
export function planSteps(
  held: ReadonlyMap<string, HeldService>,
  wanted: readonly ConfiguredService[],
  prune: boolean,
): Step[] {
  const deletions: Step[] = []
  const others: Step[] = []
  // First those that go: their addresses may be wanted by those that come.
  if (prune) {
    const named = new Set(wanted.map(({ id }) => id))
    for (const [id, { configured }] of held) {
      if (!configured && !named.has(id)) deletions.push(remove([id], 'is not in the file'))
    }
  }
  for (const service of wanted) {
    const { id, options } = service
    const now = held.get(id)
    const moved = now === undefined ? null : movedEndpoint(now.options, options)
    if (moved !== null) deletions.push(remove([id], `${moved}, which needs a new one`))
    if (now === undefined || moved !== null) others.push(...creation(service))
    else others.push(...changes(now, service, prune))
  }
  return [...deletions, ...others]
}

/** Well below what the API takes as a body. */
const mostCharacters = 256 * 1024

/**
 * One call, unless the backends are very many, or their order in the file is none of a JSON object: there ids such as 10 come
 * first and by number.
 */
function creation({ id, options, backends }: ConfiguredService): Step[] {
  const byId = Object.fromEntries(backends.map((backend) => [backend.id, backend.options]))
  const isInOrder = Object.keys(byId).every((name, index) => name === backends[index]?.id)
  if (backends.length > 0 && isInOrder && JSON.stringify(byId).length <= mostCharacters) {
    const what = backends.length === 1 ? 'is new, with a backend' : `is new, with ${backends.length} backends`
    return [{ ...create([id], { ...options, backends: byId }), what }]
  }
  return [create([id], options), ...backends.map((backend) => create([id, backend.id], backend.options))]
}

function changes(now: HeldService, { id, options, backends }: ConfiguredService, prune: boolean): Step[] {
  const steps: Step[] = []
  const patch = difference(options, now.options, patchService(now.options, options, true))
  if (patch !== null) steps.push({ method: 'PATCH', path: pathOf([id]), ...patch })
  for (const { id: name, options: backend } of backends) {
    const old = now.backends.get(name)
    if (old === undefined) {
      steps.push(create([id, name], backend))
      continue
    }
    const moved = movedBackend(old, backend)
    if (moved !== null) {
      steps.push(remove([id, name], `${moved}, which needs a new one`), create([id, name], backend))
      continue
    }
    const change = difference(backend, old, patchBackend(old, backend))
    if (change !== null) steps.push({ method: 'PATCH', path: pathOf([id, name]), ...change })
  }
  // Last those that go, so that the service is never without backends on the way.
  if (prune) {
    const named = new Set(backends.map((backend) => backend.id))
    for (const name of now.backends.keys()) {
      if (!named.has(name)) steps.push(remove([id, name], 'is not in the file'))
    }
  }
  return steps
}

/** What would change where a service may not be changed; null where nothing does. */
function movedEndpoint(now: ServiceOptions, body: ServiceBody): string | null {
  if (body.fwmark !== undefined) {
    return now.fwmark === body.fwmark ? null : moved('fwmark', now.fwmark ?? 'none', body.fwmark)
  }
  if (now.fwmark !== undefined) return moved('fwmark', now.fwmark, 'none')
  if (body.host !== undefined && body.host !== now.host) return moved('host', now.host, body.host)
  if (body.port !== undefined && body.port !== now.port) return moved('port', now.port, body.port)
  const protocol = body.protocol?.toLowerCase() ?? now.protocol
  return protocol === now.protocol ? null : moved('protocol', now.protocol, protocol)
}

function movedBackend(now: BackendOptions, body: BackendBody): string | null {
  if (body.host !== undefined && body.host !== now.host) return moved('host', now.host, body.host)
  if (body.port !== undefined && body.port !== now.port) return moved('port', now.port, body.port)
  const method = (body.method ?? '').toLowerCase().replace('ipip', 'tunnel') || now.method
  if (method !== now.method) return moved('method', now.method, method)
  if (body.tunnel === undefined || isDeepStrictEqual({ ...body.tunnel }, { ...now.tunnel })) return null
  return moved('tunnel', now.tunnel ?? 'none', body.tunnel)
}

/** The fields of `body` that would change, and what from and to; null where none would. */
function difference(body: object, before: object, after: object): Pick<Step, 'body' | 'what'> | null {
  const was = before as Readonly<Record<string, unknown>>
  const is = after as Readonly<Record<string, unknown>>
  const changed = Object.entries(body).filter(
    ([field]) => !isDeepStrictEqual(plain(was[field]), plain(is[field])),
  )
  if (changed.length === 0) return null
  return {
    body: Object.fromEntries(changed),
    what: changed.map(([field]) => moved(field, was[field] ?? 'none', is[field])).join(', '),
  }
}

/** Without fields of undefined and without prototypes: as JSON has it. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}

function moved(field: string, from: unknown, to: unknown): string {
  const shown = (value: unknown): string =>
    typeof value === 'string' && value !== '' ? value : JSON.stringify(value)
  return `${field} ${shown(from)} → ${shown(to)}`
}

function create(ids: readonly string[], body: object): Step {
  return { method: 'PUT', path: pathOf(ids), body, what: 'is new' }
}

function remove(ids: readonly string[], what: string): Step {
  return { method: 'DELETE', path: pathOf(ids), what }
}

function pathOf(ids: readonly string[]): string {
  return `/service/${ids.map(encodeURIComponent).join('/')}`
}
