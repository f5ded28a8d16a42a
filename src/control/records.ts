import type { Family } from '../model/address.ts'
import { familyOf } from '../model/address.ts'
import type { BackendOptions } from '../model/backend.ts'
import type { BackendId, ServiceId } from '../model/names.ts'
import { defaultPulse } from '../model/pulse.ts'
import type { ServiceOptions } from '../model/service.ts'
import { endpointKey } from '../planes/endpoint.ts'
import type { Source } from './events.ts'
import type { Row } from '../store/store.ts'

/** Who created an object and may delete it. */
export type Owner = 'rest' | 'file'

export const ownerOf = (source: Source): Owner => (source === 'file' ? 'file' : 'rest')

/** A service as it is wished for, with what was decided once: the address its host resolved to. */
export interface ServiceRecord {
  readonly id: ServiceId
  readonly owner: Owner
  readonly options: ServiceOptions
  /** Canonical; '' with a firewall mark. */
  readonly address: string
  /** In the order they were created. */
  readonly backends: readonly BackendRecord[]
}

export interface BackendRecord {
  readonly id: BackendId
  readonly options: BackendOptions
  readonly address: string
  /** A weight set by REST above the file's; null: none. */
  readonly override: number | null
  /** Milliseconds since the epoch at which a draining backend is removed at the latest; 0: not draining. */
  readonly drainUntil: number
  /** Grows with each creation within the service: the list order that survives a restart. */
  readonly order: number
  /** Found in the plane when the service was taken over; a backend of the same address takes its place. */
  readonly adopted?: true
}

/** Everything durable, by bucket. `health` and `ledger` are written by control as well: see vitals.ts and reconciler.ts. */
export const bucket = { service: 'service', backend: 'backend', health: 'health', ledger: 'ledger' } as const

/** The configured weight in force: an override stands above the file. */
export const configuredWeight = (backend: BackendRecord): number => backend.override ?? backend.options.weight

/** The family of a service; a firewall mark has the family of its first backend. */
export function serviceFamily(record: ServiceRecord): Family {
  return familyOf(record.address) ?? familyOf(record.backends[0]?.address ?? '') ?? 4
}

/** Where the service is reached. */
export function endpointOf(record: ServiceRecord): string {
  const { fwmark = 0, protocol, port } = record.options
  return endpointKey({ protocol, address: record.address, port, fwmark })
}

/** Unambiguous for any ids. */
export const backendKey = (service: ServiceId, backend: BackendId): string =>
  JSON.stringify([service, backend])

/** The rows that turn one stored state of a service into another. */
export function rowsBetween(before: ServiceRecord | null, after: ServiceRecord | null): Row[] {
  const id = after?.id ?? before?.id
  if (id === undefined) return []
  const rows: Row[] = []
  if (after === null) rows.push({ bucket: bucket.service, key: id, value: null })
  else if (
    before === null ||
    before.options !== after.options ||
    before.address !== after.address ||
    before.owner !== after.owner
  ) {
    rows.push({ bucket: bucket.service, key: id, value: encodeService(after) })
  }
  const old = new Map(before?.backends.map((backend) => [backend.id, backend]))
  for (const backend of after?.backends ?? []) {
    const same = old.get(backend.id) === backend
    old.delete(backend.id)
    if (!same)
      rows.push({ bucket: bucket.backend, key: backendKey(id, backend.id), value: encodeBackend(backend) })
  }
  for (const gone of old.keys()) {
    rows.push({ bucket: bucket.backend, key: backendKey(id, gone), value: null })
    rows.push({ bucket: bucket.health, key: backendKey(id, gone), value: null })
  }
  return rows
}

const encodeService = ({ owner, options, address }: ServiceRecord): string =>
  JSON.stringify({ owner, options, address })
const encodeBackend = ({ options, address, override, drainUntil, order, adopted }: BackendRecord): string =>
  JSON.stringify({ options, address, override, drainUntil, order, adopted })

// The options were validated before they were stored and the store guards its bytes; only the frame is checked here, by
// hand: it is read 100,000 times at a start.
const isServiceFrame = (row: Partial<Record<string, unknown>>): boolean =>
  isObject(row['options']) &&
  typeof row['address'] === 'string' &&
  (row['owner'] === 'rest' || row['owner'] === 'file')
const isBackendFrame = (row: Partial<Record<string, unknown>>): boolean =>
  isObject(row['options']) &&
  typeof row['address'] === 'string' &&
  (row['override'] === null || typeof row['override'] === 'number') &&
  typeof row['drainUntil'] === 'number' &&
  typeof row['order'] === 'number'
const isKey = (key: unknown): boolean =>
  Array.isArray(key) && key.length === 2 && typeof key[0] === 'string' && typeof key[1] === 'string'
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

/** The services of a store. @throws Error that names the row that cannot be read */
export function decodeRecords(
  services: readonly (readonly [string, string])[],
  backends: readonly (readonly [string, string])[],
): Map<ServiceId, ServiceRecord> {
  const lists = new Map<ServiceId, BackendRecord[]>()
  const intern = interner()
  for (const [key, value] of backends) {
    const [service, id] = read<[ServiceId, BackendId]>(isKey, key, key)
    const stored = read<Omit<BackendRecord, 'id'>>(isBackendFrame, key, value)
    const list = lists.get(service) ?? []
    lists.set(service, list)
    list.push({
      id: intern.text(id),
      ...stored,
      address: intern.text(stored.address),
      options: intern.options(stored.options),
    })
  }
  const records = new Map<ServiceId, ServiceRecord>()
  for (const [id, value] of services) {
    const stored = read<Omit<ServiceRecord, 'id' | 'backends'>>(isServiceFrame, id, value)
    const list = (lists.get(id) ?? []).sort((a, b) => a.order - b.order)
    records.set(id, {
      id,
      owner: stored.owner,
      options: stored.options,
      address: stored.address,
      backends: list,
    })
  }
  return records
}

// oxlint-disable-next-line no-unnecessary-type-parameters -- the frame is checked, the rest was before it was stored
function read<T>(isFrame: (row: Partial<Record<string, unknown>>) => boolean, key: string, text: string): T {
  let cause: unknown
  try {
    const row: unknown = JSON.parse(text)
    if (isObject(row) && isFrame(row)) return row as T
  } catch (error) {
    cause = error
  }
  throw new Error(`the stored object ${key} cannot be read; bring back a backup with torb restore`, { cause })
}

/** Equal texts and pulses are kept once: 100,000 backends share few of them. */
function interner(): { text(value: string): string; options(value: BackendOptions): BackendOptions } {
  const texts = new Map<string, string>()
  const pulses = new Map<string, BackendOptions['pulse']>([[JSON.stringify(defaultPulse), defaultPulse]])
  const text = (value: string): string => {
    const kept = texts.get(value)
    if (kept !== undefined) return kept
    texts.set(value, value)
    return value
  }
  return {
    text,
    options(value) {
      const key = JSON.stringify(value.pulse)
      const pulse = pulses.get(key) ?? value.pulse
      pulses.set(key, pulse)
      return { ...value, host: text(value.host), pulse }
    },
  }
}
