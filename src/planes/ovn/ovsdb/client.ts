import { setTimeout as sleep } from 'node:timers/promises'
import { Refusal } from '../../../model/refusal.ts'
import { parseAddress, Unusable } from './address.ts'
import { backoffMs, longestMs } from './backoff.ts'
import { Locks } from './locks.ts'
import { decodeResults, encodeOperation } from './operations.ts'
import type {
  Operation,
  OperationResult,
  Ovsdb,
  OvsdbLock,
  OvsdbOptions,
  OvsdbState,
  Row,
  RowChange,
  TableSpecs,
  Uuid,
} from './ovsdb.ts'
import { Replica, type ReplicaChange } from './replica.ts'
import { Session, type SessionListener, type SessionTiming } from './session.ts'

const usual: SessionTiming = { connectMs: 5000, probeMs: 5000, leaveMs: 2000 }

/**
 * Connects to a database and follows it until `close`; a connection that ends is replaced, for ever.
 *
 * @returns when the replica is complete
 * @throws Refusal `unreachable` where no address can be used, `invalid` for an address that is none
 */
export async function connectOvsdb<Tables extends TableSpecs>(
  options: OvsdbOptions<Tables>,
  timing: SessionTiming = usual,
): Promise<Ovsdb<Tables>> {
  for (const address of options.addresses) parseAddress(address)
  const client = new Client(options, timing)
  await client.start()
  return client
}

class Client<Tables extends TableSpecs> implements Ovsdb<Tables>, SessionListener {
  readonly #options: OvsdbOptions<Tables>
  readonly #timing: SessionTiming
  readonly #replica: Replica
  readonly #locks = new Locks()
  readonly #closed = new AbortController()
  readonly #listeners = new Set<(changes: readonly RowChange<Tables>[]) => void>()
  readonly #watchers = new Set<(state: OvsdbState) => void>()
  #session: Session | null = null
  #readyAt = 0
  #columns: Session['schema']['tables'] = new Map()
  #state: OvsdbState
  /** Place of the address that is tried next. */
  #next = 0
  #following: Promise<void> = Promise.resolve()

  constructor(options: OvsdbOptions<Tables>, timing: SessionTiming) {
    this.#options = options
    this.#timing = timing
    this.#replica = new Replica(Object.keys(options.tables))
    this.#state = {
      connected: false,
      address: options.addresses[0] ?? '',
      since: Date.now(),
      problem: '',
      version: '',
    }
  }

  async start(): Promise<void> {
    const session = await this.#tryAll()
    if (session === null) throw new Refusal('unreachable', this.#state.problem)
    this.#following = this.#follow(session)
  }

  get state(): OvsdbState {
    return this.#state
  }

  rows<Table extends keyof Tables & string>(table: Table): ReadonlyMap<Uuid, Row<Tables[Table]>> {
    return this.#replica.rows(table) as ReadonlyMap<Uuid, unknown> as ReadonlyMap<Uuid, Row<Tables[Table]>>
  }

  has(table: string, column: string): boolean {
    return this.#columns.get(table)?.has(column) ?? false
  }

  async transact(operations: readonly Operation[]): Promise<readonly OperationResult[]> {
    const { database } = this.#options
    const session = this.#session
    if (session === null) throw new Refusal('unreachable', this.#state.problem)
    const { address, schema, leaving } = session
    if (leaving !== '') throw new Refusal('unreachable', unusable(database, [[address, leaving]]))
    const encoded = operations.map((operation) => encodeOperation(schema, operation))
    try {
      return await session.rpc.ask('transact', [database, ...encoded], (result) =>
        decodeResults(schema, operations, result),
      )
    } catch (error) {
      if (!(error instanceof Unusable)) throw error
      throw new Refusal(
        'unreachable',
        `It is not known whether a transaction of ${database} was done, since ${address} did not answer: ${error.message}`,
        { cause: error },
      )
    }
  }

  subscribe(listener: (changes: readonly RowChange<Tables>[]) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  watchState(listener: (state: OvsdbState) => void): () => void {
    this.#watchers.add(listener)
    return () => void this.#watchers.delete(listener)
  }

  lock(name: string): OvsdbLock {
    return this.#locks.of(name)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    this.#watchers.clear()
    this.#closed.abort()
    this.#session?.rpc.end('the connection was closed')
    await this.#following
  }

  ready(session: Session, changes: readonly ReplicaChange[]): void {
    const { address, schema } = session
    const { database, log } = this.#options
    this.#session = session
    this.#readyAt = Date.now()
    this.#columns = schema.tables
    log.info({ database, address, version: schema.version }, 'the database is connected')
    this.#locks.use(session.rpc)
    this.#turn({ connected: true, address, since: Date.now(), problem: '', version: schema.version })
    if (changes.length > 0) this.changed(changes)
  }

  changed(changes: readonly ReplicaChange[]): void {
    for (const listener of this.#listeners) listener(changes as unknown as readonly RowChange<Tables>[])
  }

  ended(problem: string): void {
    const { database, log } = this.#options
    const { address } = this.#state
    this.#session = null
    if (!this.#closed.signal.aborted) log.warn({ database, address, problem }, 'the database is lost')
    this.#locks.use(null)
    this.#turn({
      ...this.#state,
      connected: false,
      since: Date.now(),
      problem: unusable(database, [[address, problem]]),
    })
  }

  lockChanged(method: 'locked' | 'stolen', name: unknown): void {
    this.#locks.notified(method, name)
  }

  #turn(state: OvsdbState): void {
    this.#state = state
    for (const watcher of this.#watchers) watcher(state)
  }

  async #follow(first: Session): Promise<void> {
    const { signal } = this.#closed
    let session = first
    for (let round = 0; ;) {
      await session.ended
      if (Date.now() - this.#readyAt > longestMs) round = 0
      try {
        let next: Session | null = null
        while (next === null) {
          await sleep(backoffMs(round++, Math.random()), undefined, { signal })
          const before = this.#state.problem
          next = await this.#tryAll()
          const { problem } = this.#state
          if (next === null && problem !== before)
            this.#options.log.warn(
              { database: this.#options.database, problem },
              'the database cannot be used',
            )
        }
        session = next
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
    }
  }

  /** One round over the addresses. @returns null: none can be used, and the state tells why @throws the signal's reason */
  async #tryAll(): Promise<Session | null> {
    const { addresses, database } = this.#options
    const problems: [string, string][] = []
    for (let tried = 0; tried < addresses.length; tried++) {
      const address = addresses[this.#next++ % addresses.length] ?? ''
      try {
        return await Session.open(
          address,
          this.#options,
          this.#timing,
          this.#replica,
          this,
          this.#closed.signal,
        )
      } catch (error) {
        if (!(error instanceof Unusable)) throw error
        problems.push([address, error.message])
        this.#state = { ...this.#state, address }
      }
    }
    this.#state = { ...this.#state, problem: unusable(database, problems) }
    return null
  }
}

const unusable = (database: string, problems: readonly (readonly [string, string])[]): string =>
  `The database ${database} cannot be used at ${problems.map(([address, problem]) => `${address} (${problem})`).join(' or ')}`
