import { familyOf } from '../model/address.ts'
import {
  patchBackend,
  readBackend,
  type BackendBody,
  type BackendOptions,
  type BackendPatchBody,
} from '../model/backend.ts'
import type { BackendId, ServiceId } from '../model/names.ts'
import { exists, invalid, message, Refusal, unknown } from '../model/refusal.ts'
import { patchService, type ServiceBody, type ServiceOptions } from '../model/service.ts'
import type { Owner, BackendRecord, ServiceRecord } from './records.ts'

/**
 * What a write does to one service: the present record in, the next one out, null where there is none.
 * Pure; throws a Refusal where the write is not possible. Names are resolved before.
 */
export type Step = (current: ServiceRecord | null) => ServiceRecord | null

export const createService =
  (id: ServiceId, owner: Owner, options: ServiceOptions, address: string): Step =>
  (current) => {
    if (current !== null) throw exists()
    return { id, owner, options, address, backends: [] }
  }

/** @param address what a `host` in the body resolves to; undefined where the body has none */
export const changeService =
  (body: ServiceBody, address: string | undefined, by: Owner): Step =>
  (current) => {
    const record = owned(current, by, 'changed')
    const options = patchService(record.options, body, true)
    const before = record.options
    const moved =
      (address !== undefined && address !== record.address) ||
      options.port !== before.port ||
      options.protocol !== before.protocol ||
      options.fwmark !== before.fwmark
    if (moved) {
      throw invalid(
        `host, port, protocol and fwmark of a service cannot be changed: delete service "${record.id}" and create it anew`,
      )
    }
    return { ...record, options }
  }

export const deleteService =
  (by: Owner): Step =>
  (current) => {
    owned(current, by, 'deleted')
    return null
  }

export const createBackend =
  (id: BackendId, options: BackendOptions, address: string, by: Owner): Step =>
  (current) => {
    if (current === null) throw unknown()
    const namesake = current.backends.find((backend) => backend.id === id)
    if (namesake !== undefined && namesake.adopted !== true) throw exists()
    const record = owned(current, by, 'given backends')
    checkFamily(record, address)
    if ((options.port === 0) !== (record.options.port === 'any')) throw invalid(message.endpointMissing)
    const twin = record.backends.find(
      (backend) => backend.address === address && backend.options.port === options.port,
    )
    keepsPort(record.options, id, options)
    if (twin !== undefined && twin.adopted !== true) {
      throw exists(
        `${message.exists}: backend "${twin.id}" of service "${record.id}" is ${address}:${options.port} already`,
      )
    }
    const replaced = twin ?? namesake
    const order = replaced?.order ?? 1 + (record.backends.at(-1)?.order ?? 0)
    const made: BackendRecord = { id, options, address, override: null, drainUntil: 0, order }
    if (replaced === undefined) return { ...record, backends: [...record.backends, made] }
    const backends = record.backends.filter((backend) => backend !== namesake || backend === replaced)
    return { ...record, backends: backends.map((backend) => (backend === replaced ? made : backend)) }
  }

export const changeBackend =
  (id: BackendId, body: BackendPatchBody, by: Owner): Step =>
  (current) => {
    const [record, backend] = find(current, id)
    // A weight given anew ends a drain: the operator wants the backend back.
    const drainUntil = typeof body.weight === 'number' ? 0 : backend.drainUntil
    if (by === 'rest' && record.owner === 'file') {
      const { weight, ...rest } = body
      if (weight === undefined || Object.keys(rest).length > 0) {
        throw new Refusal(
          'owned',
          `backend "${id}" comes from the configuration file: only its weight can be overridden here, change the rest in the file`,
        )
      }
      return replace(record, { ...backend, override: weight, drainUntil })
    }
    if (body.weight === null)
      throw invalid(`weight null ends an override of a configured weight, and backend "${id}" has none`)
    return replace(record, { ...backend, options: patchBackend(backend.options, body), drainUntil })
  }

/** @param drainUntil removed only then, or when its connections have ended (epoch ms); 0: at once */
export const deleteBackend =
  (id: BackendId, by: Owner, drainUntil: number): Step =>
  (current) => {
    const [record, backend] = find(current, id)
    owned(record, by, 'given fewer backends')
    if (drainUntil > 0) return replace(record, { ...backend, drainUntil })
    return { ...record, backends: record.backends.filter((other) => other !== backend) }
  }

/** Ends a drain that is over; a backend taken back or gone meanwhile stays as it is. */
export const endDrain =
  (id: BackendId): Step =>
  (current) => {
    if (current?.backends.some((backend) => backend.id === id && backend.drainUntil > 0) !== true)
      return current
    return { ...current, backends: current.backends.filter((backend) => backend.id !== id) }
  }

export interface ConfiguredBackend {
  readonly id: BackendId
  readonly body: BackendBody
  readonly address: string
}

/** The whole of a configured service at once. Overrides and unchanged backends stay as they are. */
export const configure =
  (id: ServiceId, options: ServiceOptions, address: string, backends: readonly ConfiguredBackend[]): Step =>
  (current) => {
    if (current !== null && current.owner !== 'file') {
      throw new Refusal(
        'owned',
        `service "${id}" was created by REST: delete it there, or name it otherwise in the file`,
      )
    }
    const same = current !== null && equal(current.options, options) && current.address === address
    let record: ServiceRecord = same
      ? current
      : { id, owner: 'file', options, address, backends: current?.backends ?? [] }
    let order = record.backends.at(-1)?.order ?? 0
    const next = backends.map(({ id: backendId, body, address: at }): BackendRecord => {
      checkFamily(record, at)
      const read = readBackend(body, options.port === 'any')
      keepsPort(options, backendId, read)
      const old = record.backends.find((backend) => backend.id === backendId)
      if (old !== undefined && old.address === at && equal(old.options, read) && old.drainUntil === 0)
        return old
      return {
        id: backendId,
        options: read,
        address: at,
        override: old?.override ?? null,
        drainUntil: 0,
        order: old?.order ?? ++order,
      }
    })
    const unchanged =
      next.length === record.backends.length && next.every((backend, i) => backend === record.backends[i])
    if (!unchanged) record = { ...record, backends: next }
    return record
  }

function owned(record: ServiceRecord | null, by: Owner, verb: string): ServiceRecord {
  if (record === null) throw unknown()
  if (record.owner === 'file' && by === 'rest') {
    throw new Refusal(
      'owned',
      `service "${record.id}" comes from the configuration file: it can be ${verb} only there`,
    )
  }
  return record
}

function find(record: ServiceRecord | null, id: BackendId): [ServiceRecord, BackendRecord] {
  const backend = record?.backends.find((candidate) => candidate.id === id)
  if (record === null || backend === undefined) throw unknown()
  return [record, backend]
}

const replace = (record: ServiceRecord, backend: BackendRecord): ServiceRecord => ({
  ...record,
  backends: record.backends.map((other) => (other.id === backend.id ? backend : other)),
})

/** Direct routing and tunnels leave the packet as it is: the backend sees the service's port. */
function keepsPort(service: ServiceOptions, id: BackendId, { method, port }: BackendOptions): void {
  if (method === 'nat' || service.fwmark !== undefined || service.port === 'any' || port === service.port)
    return
  throw invalid(
    `backend "${id}" has port ${port}, but with method ${method} packets keep the port of the service: give it port ${service.port}, or method nat`,
  )
}

function checkFamily(record: ServiceRecord, address: string): void {
  const family = familyOf(record.address === '' ? (record.backends[0]?.address ?? address) : record.address)
  if (family !== familyOf(address)) throw invalid(message.familiesDiffer)
}

const equal = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
