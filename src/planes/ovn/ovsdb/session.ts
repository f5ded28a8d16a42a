import { connectAddress, Unusable } from './address.ts'
import { ProtocolError } from './framing.ts'
import { OvsdbError, type OvsdbOptions, type TableSpecs } from './ovsdb.ts'
import { Replica, type ReplicaChange, type UpdateForm } from './replica.ts'
import { Rpc } from './rpc.ts'
import { chooseColumns, parseSchema, type Columns, type ColumnType, type DatabaseSchema } from './schema.ts'

export interface SessionTiming {
  /** How long to wait for a connection. */
  readonly connectMs: number
  /** Silence after which a server is asked whether it lives. */
  readonly probeMs: number
  /** How long transactions under way may take that hold up the move to another server. */
  readonly leaveMs: number
}

export interface SessionListener {
  /** The replica is complete, and this session keeps it so; what differs from how it was. */
  ready(session: Session, changes: readonly ReplicaChange[]): void
  changed(changes: readonly ReplicaChange[]): void
  lockChanged(method: 'locked' | 'stolen', name: unknown): void
  /** Once, after `ready`: with a clause about the server, `it`. */
  ended(problem: string): void
}

type Options = Pick<OvsdbOptions<TableSpecs>, 'database' | 'tables' | 'tls' | 'leaderOnly'>

/** Names of our monitors, which updates carry. */
const dataMonitor = 'data'
const serverMonitor = 'server'

const scalar = (key: ColumnType['key']): ColumnType => ({ key, value: null, min: 1, max: 1 })

/** What is read of the table Database of `_Server` (ovsdb-server(5)), where a server tells of its databases. */
const serverColumns: ReadonlyMap<string, Columns> = new Map([
  [
    'Database',
    new Map([
      ['name', scalar('string')],
      ['model', scalar('string')],
      ['connected', scalar('boolean')],
      ['leader', scalar('boolean')],
    ]),
  ],
])

const monitors: readonly (readonly [method: string, form: UpdateForm])[] = [
  ['monitor_cond_since', 'update2'],
  ['monitor_cond', 'update2'],
  ['monitor', 'update'],
]

/** One connection, from the first byte to the last: looks whether the server is the right one, then follows the database. */
export class Session {
  readonly address: string
  readonly rpc: Rpc
  readonly ended: Promise<void>
  readonly #options: Options
  readonly #timing: SessionTiming
  readonly #replica: Replica
  readonly #server = new Replica(serverColumns.keys())
  readonly #listener: SessionListener
  #schema: DatabaseSchema | null = null
  #ready = false
  /** Why no transaction begins here any more; the connection stays for those under way. */
  #leaving = ''

  private constructor(
    address: string,
    socket: ConstructorParameters<typeof Rpc>[0],
    options: Options,
    timing: SessionTiming,
    replica: Replica,
    listener: SessionListener,
  ) {
    this.address = address
    this.#options = options
    this.#timing = timing
    this.#replica = replica
    this.#listener = listener
    this.#server.columns = serverColumns
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.rpc = new Rpc(socket, timing.probeMs, {
      notified: (method, params) => this.#notified(method, params),
      ended: (problem) => {
        if (this.#ready) listener.ended(problem)
        resolve()
      },
    })
  }

  /** Resolves when the replica is complete. @throws Unusable; the signal's reason */
  static async open(
    address: string,
    options: Options,
    timing: SessionTiming,
    replica: Replica,
    listener: SessionListener,
    signal: AbortSignal,
  ): Promise<Session> {
    const socket = await connectAddress(address, options.tls, timing.connectMs, signal)
    const session = new Session(address, socket, options, timing, replica, listener)
    const abort = (): void => session.rpc.end('the connection was closed')
    signal.addEventListener('abort', abort)
    try {
      await session.#start()
      return session
    } catch (error) {
      session.rpc.end('the connection was closed')
      signal.throwIfAborted()
      if (error instanceof OvsdbError || error instanceof ProtocolError)
        throw new Unusable(`it cannot be followed: ${error.message}`, { cause: error })
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** Of the database in use. */
  get schema(): DatabaseSchema {
    if (this.#schema === null) throw new Error('the session has no schema yet')
    return this.#schema
  }

  /** Why no transaction may begin here; '' where they may. */
  get leaving(): string {
    return this.#leaving
  }

  async #start(): Promise<void> {
    const { database, tables } = this.#options
    await this.#watchServer()
    const problem = this.#serverProblem()
    if (problem !== '') throw new Unusable(problem)
    const schema = await this.#fetchSchema()
    const columns = chooseColumns(schema, tables)
    if (typeof columns === 'string')
      throw new Unusable(
        `its schema of ${database}, version ${schema.version}, ${columns}: use a server whose schema has it`,
      )
    this.#schema = schema
    this.#replica.columns = columns
    await this.#monitor(columns)
  }

  /** A server before OVS 2.9 has no `_Server`, and no clusters either. */
  async #watchServer(): Promise<void> {
    const params = ['_Server', serverMonitor, monitorRequests(serverColumns)]
    try {
      await this.rpc.ask('monitor', params, (rows) => this.#server.replace(rows, 'update'))
    } catch (error) {
      if (!(error instanceof OvsdbError && error.code === 'unknown database')) throw error
    }
  }

  async #fetchSchema(): Promise<DatabaseSchema> {
    const { database } = this.#options
    try {
      return await this.rpc.ask('get_schema', [database], parseSchema)
    } catch (error) {
      if (!(error instanceof OvsdbError && error.code === 'unknown database')) throw error
      throw new Unusable(`it has no database ${database}: correct the name or the address`, { cause: error })
    }
  }

  /** @returns why this server is not the right one, in what `_Server` tells; '' where it is */
  #serverProblem(): string {
    const { database, leaderOnly } = this.#options
    const rows = [...this.#server.rows('Database').values()]
    if (rows.length === 0) return ''
    const row = rows.find((row) => row['name'] === database)
    if (row === undefined) {
      const others = rows.map((row) => row['name'] as string).filter((name) => name !== '_Server')
      return `it has no database ${database}, only ${others.join(', ')}: correct the name or the address`
    }
    if (row['connected'] !== true) return 'it is not connected to its cluster'
    if (leaderOnly && row['model'] === 'clustered' && row['leader'] !== true)
      return 'it is not the leader of its cluster'
    return ''
  }

  async #monitor(columns: ReadonlyMap<string, Columns>): Promise<void> {
    const params = [this.#options.database, dataMonitor, monitorRequests(columns)]
    for (const [method, form] of monitors) {
      const since = method === 'monitor_cond_since'
      try {
        await this.rpc.ask(method, since ? [...params, this.#replica.position] : params, (result) =>
          this.#complete(since ? this.#since(result) : this.#replica.replace(result, form)),
        )
        return
      } catch (error) {
        if (!(error instanceof OvsdbError && error.code === 'unknown method')) throw error
      }
    }
    throw new Unusable('it knows no way to follow a database')
  }

  #since(result: unknown): readonly ReplicaChange[] {
    if (!Array.isArray(result)) throw new ProtocolError('the answer of monitor_cond_since is no array')
    const [found, position, updates] = result as readonly unknown[]
    const changes =
      found === true ? this.#replica.apply(updates, 'update2') : this.#replica.replace(updates, 'update2')
    this.#at(position)
    return changes
  }

  #at(position: unknown): void {
    if (typeof position !== 'string') throw new ProtocolError('a transaction has no id')
    this.#replica.position = position
  }

  #complete(changes: readonly ReplicaChange[]): void {
    this.#ready = true
    this.#listener.ready(this, changes)
  }

  #notified(method: string, params: readonly unknown[]): void {
    switch (method) {
      case 'update':
        if (params[0] === serverMonitor) this.#serverChanged(params[1])
        else this.#changed(params[0], params[1], 'update')
        break
      case 'update2':
        this.#changed(params[0], params[1], 'update2')
        break
      case 'update3':
        this.#changed(params[0], params[2], 'update2')
        this.#at(params[1])
        break
      case 'locked':
      case 'stolen':
        this.#listener.lockChanged(method, params[0])
        break
      default:
        throw new ProtocolError(`nobody asked for ${method}`)
    }
  }

  #changed(monitor: unknown, updates: unknown, form: UpdateForm): void {
    if (monitor !== dataMonitor || !this.#ready) throw new ProtocolError('an update is of an unknown monitor')
    const changes = this.#replica.apply(updates, form)
    if (changes.length > 0) this.#listener.changed(changes)
  }

  #serverChanged(updates: unknown): void {
    this.#server.apply(updates, 'update')
    const problem = this.#serverProblem()
    if (problem === '' || this.#leaving !== '') return
    this.#leaving = problem
    this.rpc.leave(problem, this.#timing.leaveMs)
  }
}

function monitorRequests(tables: ReadonlyMap<string, Columns>): Record<string, readonly object[]> {
  return Object.fromEntries(
    [...tables].map(([table, columns]) => [table, [{ columns: [...columns.keys()] }]]),
  )
}
