import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, request as send } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const torb = new URL('../bin/torb', import.meta.url).pathname

/** A command of Torb as a process of its own. */
export interface Running extends AsyncDisposable {
  readonly process: ChildProcess
  readonly pid: number
  /** All lines of standard output so far. */
  readonly lines: readonly string[]
  /** Standard error so far. */
  readonly errors: () => string
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<number | null>
}

/** Starts `bin/torb` and waits for a line of its output that matches. @throws Error with its output when it ends before */
export async function runTorb(
  args: readonly string[],
  ready: RegExp,
  env: NodeJS.ProcessEnv = {},
): Promise<Running> {
  const child = spawn(torb, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } })
  const lines: string[] = []
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-100_000)
  })
  const exited = once(child, 'exit')
  const end = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal)
      await exited
    }
    return child.exitCode
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    if (ready.test(line)) resolve()
  })
  child.once('error', reject)
  child.once('exit', (code) =>
    reject(new Error(`torb ${args.join(' ')} ended with ${code} before it was ready\n${errors}`)),
  )
  await promise
  return {
    process: child,
    pid: child.pid ?? 0,
    lines,
    errors: () => errors,
    end,
    [Symbol.asyncDispose]: async () => void (await end()),
  }
}

export interface Answer {
  readonly status: number
  /** Parsed where it is JSON, else the text. */
  readonly body: unknown
}

export interface RunningDaemon extends Running {
  readonly url: string
  readonly data: string
  api(method: string, path: string, body?: unknown): Promise<Answer>
  /** The same where only 200 will do. @returns the body @throws Error with any other answer */
  must(method: string, path: string, body?: unknown): Promise<unknown>
}

/** Starts `torb serve` on a free port, with a data directory of its own that goes with it unless it is given. */
export async function startDaemon(
  options: { data?: string; args?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<RunningDaemon> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'torb-')))
  const args = [
    'serve',
    '-l',
    '127.0.0.1:0',
    '-i',
    'lo',
    '--data',
    data,
    '--plane',
    'userspace',
    ...(options.args ?? []),
  ]
  const removeData = async (): Promise<void> => {
    if (options.data === undefined) await rm(data, { recursive: true, force: true })
  }
  const running = await runTorb(args, /^torb ready /, options.env).catch(async (error: unknown) => {
    await removeData()
    throw error
  })
  const url = /http:\S+|https:\S+/.exec(running.lines.at(-1) ?? '')?.[0] ?? ''
  const api = (method: string, path: string, body?: unknown): Promise<Answer> =>
    request(`${url}${path}`, method, body)
  return {
    ...running,
    url,
    data,
    api,
    async must(method, path, body) {
      const answer = await api(method, path, body)
      if (answer.status !== 200)
        throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
      return answer.body
    },
    async [Symbol.asyncDispose]() {
      await running.end()
      await removeData()
    },
  }
}

const kept = new Agent({ keepAlive: true, maxSockets: 64 })

/**
 * One request. Rejects where no answer comes.
 *
 * @param agent false: a connection of its own that ends with the answer, as curl does it
 */
export async function request(
  url: string,
  method = 'GET',
  body?: unknown,
  agent: Agent | false = kept,
): Promise<Answer> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const headers =
    text === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const sent = send(url, { method, agent, headers }, (answer) => {
    const chunks: Buffer[] = []
    answer.on('data', (chunk: Buffer) => chunks.push(chunk))
    answer.on('error', reject)
    answer.on('end', () => {
      const all = Buffer.concat(chunks).toString()
      const isJson = answer.headers['content-type']?.startsWith('application/json') === true
      resolve({ status: answer.statusCode ?? 0, body: isJson ? (JSON.parse(all) as unknown) : all })
    })
  })
  sent.on('error', reject)
  sent.end(text)
  return promise
}

/** Pseudo-random numbers in [0, 1) from a seed (mulberry32), so that a failing run can be run again. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** The value below which the share `q` of the samples lies. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
