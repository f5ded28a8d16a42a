import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { MemoryPlane } from '../../test/fixtures/memoryPlane.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import { EventLog } from '../control/events.ts'
import { openControl, type OpenControl } from '../control/open.ts'
import type { DaemonOptions } from '../model/daemon.ts'
import { makeApi, startApi, type Api } from './server.ts'

export const testToken = 'token-of-the-tests'

export interface Rig extends AsyncDisposable {
  readonly control: OpenControl
  readonly plane: MemoryPlane
  readonly store: MemoryStore
  readonly events: EventLog
  /** Log lines so far. */
  readonly log: () => string
}

async function makeRig(): Promise<Rig & { readonly logger: pino.Logger; readonly data: string }> {
  const plane = new MemoryPlane()
  const store = new MemoryStore()
  const events = new EventLog()
  let lines = ''
  const control = await openControl({
    store,
    planes: new Map([['userspace', plane]]),
    defaultPlane: 'userspace',
    events,
    flush: false,
    maxChecks: 16,
    now: Date.now,
    log: { warn: () => undefined },
    resolve: (name) => Promise.reject(new Error(`no such name as ${name}`)),
    defaultHost: () => '10.0.0.1',
    isOwnListener: () => false,
  })
  const data = await mkdtemp(join(tmpdir(), 'torb-api-'))
  return {
    control,
    plane,
    store,
    events,
    data,
    logger: pino({ level: 'info' }, { write: (line: string) => void (lines += line) }),
    log: () => lines,
    [Symbol.asyncDispose]: async () => {
      await control.close()
      await rm(data, { recursive: true })
    },
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly body: string
}

export interface InjectedApi extends Rig {
  /** A request from this host, in process; an object as body is sent as JSON. */
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

/** The API over the real control, whose plane and store are maps. */
export async function injectedApi(): Promise<InjectedApi> {
  const rig = await makeRig()
  const { control, data, logger: log } = rig
  const api = await makeApi({
    control,
    options: {},
    data,
    log,
    version: '1.2.3',
    environmentToken: testToken,
  })
  return {
    ...rig,
    async request(method, url, body, headers = {}) {
      const raw = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
      const answer = await api.app.inject({
        method: method as 'GET',
        url,
        headers: {
          host: 'localhost:4672',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { payload: raw ? body : JSON.stringify(body) }),
      })
      return { status: answer.statusCode, headers: answer.headers, body: answer.body }
    },
    [Symbol.asyncDispose]: async () => {
      await api.close()
      await rig[Symbol.asyncDispose]()
    },
  }
}

export interface ListeningApi extends Rig {
  readonly api: Api
}

/** The same on a port of its own. */
export async function listeningApi(options: DaemonOptions = {}, heartbeatMs = 15_000): Promise<ListeningApi> {
  const rig = await makeRig()
  const { control, data, logger: log } = rig
  const api = await startApi({
    control,
    options: { listen: '127.0.0.1:0', ...options },
    data,
    log,
    version: '1.2.3',
    environmentToken: testToken,
    heartbeatMs,
  })
  return {
    ...rig,
    api,
    [Symbol.asyncDispose]: async () => {
      await api.close()
      await rig[Symbol.asyncDispose]()
    },
  }
}
