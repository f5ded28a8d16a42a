import { readBackend } from '../model/backend.ts'
import type { BackendId, ServiceId } from '../model/names.ts'
import { message, Refusal } from '../model/refusal.ts'
import type { Names } from './addresses.ts'
import type { ConfiguredOutcome, ConfiguredService } from './control.ts'
import { configure, deleteService, type ConfiguredBackend, type Step } from './desired.ts'
import type { Reconciler } from './reconciler.ts'
import { Places } from './places.ts'
import { endpointOf, type ServiceRecord } from './records.ts'
import type { DesiredState } from './state.ts'

interface Prepared {
  readonly id: ServiceId
  readonly step: Step
  readonly after: ServiceRecord
}

/** Takes over a configuration file's services: all of them, or none. */
export class Configuration {
  readonly #desired: DesiredState
  readonly #reconciler: Reconciler
  readonly #names: Names

  constructor(options: { desired: DesiredState; reconciler: Reconciler; names: Names }) {
    this.#desired = options.desired
    this.#reconciler = options.reconciler
    this.#names = options.names
  }

  async replace(objects: readonly ConfiguredService[]): Promise<ConfiguredOutcome> {
    const prepared: Prepared[] = []
    const at: { service: ServiceId; backend: BackendId | null } = { service: '', backend: null }
    const kept = new Set(objects.map((object) => object.id))
    const gone = [...this.#desired.services.values()].filter(
      (state) => state.record?.owner === 'file' && !kept.has(state.id),
    )
    try {
      for (const object of objects) {
        at.service = object.id
        at.backend = null
        prepared.push(await this.#prepare(object, at))
      }
      at.backend = null
      this.#checkEndpoints(prepared, new Set(gone.map((state) => state.id)), at)
      await this.#checkFree(prepared, at)
    } catch (error) {
      if (error instanceof Refusal) return { ok: false, ...at, message: error.message }
      throw error
    }
    // First those that go: their addresses may be wanted by those that come.
    await Promise.all(gone.map((state) => this.#reconciler.write(state.id, deleteService('file'), 'file')))
    const changed = prepared.filter(({ id, after }) => after !== this.#desired.record(id))
    try {
      await Promise.all(changed.map(({ id, step }) => this.#reconciler.write(id, step, 'file')))
    } catch (error) {
      if (error instanceof Refusal) return { ok: false, service: '', backend: null, message: error.message }
      throw error
    }
    return { ok: true, changes: gone.length + changed.length }
  }

  async #prepare(object: ConfiguredService, at: { backend: BackendId | null }): Promise<Prepared> {
    const { options, address } = await this.#names.service(object.options)
    const backends: ConfiguredBackend[] = []
    const places = new Map<string, BackendId>()
    for (const { id, options: body } of object.backends) {
      at.backend = id
      const read = readBackend(body, options.port === 'any')
      const backendAddress = await this.#names.backendAddress(read.host, read.port)
      const place = `${backendAddress} ${read.port}`
      const twin = places.get(place)
      if (twin !== undefined)
        throw new Refusal('exists', `backend "${twin}" has the address ${read.host}:${read.port} already`)
      places.set(place, id)
      backends.push({ id, body, address: backendAddress })
    }
    at.backend = null
    const step = configure(object.id, options, address, backends)
    const after = step(this.#desired.record(object.id))
    if (after === null) throw new TypeError('a configured service cannot vanish')
    this.#reconciler.check(after)
    return { id: object.id, step, after }
  }

  /** @throws Refusal where somebody else has the place of a new service in the plane */
  async #checkFree(prepared: readonly Prepared[], at: { service: ServiceId }): Promise<void> {
    const created = prepared.filter(({ id }) => this.#desired.record(id) === null)
    const claims = await this.#reconciler.claims(created.map(({ after }) => after))
    claims.forEach((claim, index) => {
      if (!(claim instanceof Refusal)) return
      at.service = created[index]?.id ?? ''
      throw claim
    })
  }

  #checkEndpoints(
    prepared: readonly Prepared[],
    gone: ReadonlySet<ServiceId>,
    at: { service: ServiceId },
  ): void {
    const claimed = new Places()
    for (const { id, after } of prepared) {
      at.service = id
      const holder = claimed.holderOf(after) ?? this.#desired.holderOf(after, gone)
      if (holder !== undefined)
        throw new Refusal('exists', `${message.exists}: service "${holder}" has ${endpointOf(after)} already`)
      claimed.add(after)
    }
  }
}
