import { request, type ClientRequest } from 'node:http'
import { sendTimes, type Phase } from './ratePattern.ts'

/** What became of one request. */
export interface Answer {
  /** performance.now() when it was sent. */
  readonly sentAt: number
  readonly ok: boolean
  /** Why it failed: `status 503`, `ECONNREFUSED`. Empty where it did not. */
  readonly reason: string
}

/**
 * Sends requests at the moments of a pattern and never waits for an answer before the next; each on a connection of its
 * own. A response is a whole one of status 2xx: everything else has failed.
 */
export class Load {
  readonly url: string
  requests = 0
  responses = 0
  failed = 0
  /** Requests a second as the pattern has it now. */
  requestRate: number
  /** Responses of the last whole second; the request rate until one is over. */
  responseRate: number
  readonly failures = new Map<string, number>()
  readonly #phases: Iterable<Phase>
  readonly #pending = new Set<ClientRequest>()
  readonly #onAnswer: (answer: Answer) => void

  constructor(url: string, phases: Iterable<Phase>, onAnswer: (answer: Answer) => void = () => {}) {
    this.url = url
    const iterator = phases[Symbol.iterator]()
    const first = iterator.next()
    const begin = first.done === true ? [] : [first.value]
    this.#phases = begin.length === 0 ? [] : prepend(begin, iterator)
    this.requestRate = begin[0] === undefined ? 0 : 1000 / begin[0].everyMs
    this.responseRate = this.requestRate
    this.#onAnswer = onAnswer
  }

  get unanswered(): number {
    return this.#pending.size
  }

  /** Resolves when the pattern is over or the signal comes. Requests still unanswered then go on. */
  async run(signal: AbortSignal): Promise<void> {
    const start = performance.now()
    let last = this.responses
    const tick = setInterval(() => {
      this.responseRate = this.responses - last
      last = this.responses
    }, 1000)
    let endsAt = 0
    let current: Phase | null = null
    try {
      for (const { at, phase } of sendTimes(this.#phases)) {
        await until(start + at, signal)
        if (signal.aborted) return
        if (phase !== current) {
          current = phase
          endsAt = at + phase.lastsMs
          this.requestRate = 1000 / phase.everyMs
        }
        this.#send()
      }
      await until(start + endsAt, signal)
    } finally {
      clearInterval(tick)
    }
  }

  /** Ends what is unanswered, without counting it as failed. */
  close(): void {
    const pending = [...this.#pending]
    this.#pending.clear()
    for (const sent of pending) sent.destroy()
  }

  #send(): void {
    const sentAt = performance.now()
    this.requests++
    const sent = request(this.url, { agent: false }, (response) => {
      response.resume()
      response.on('end', () => {
        const { statusCode = 0, complete } = response
        if (!complete) settle('cut off')
        else settle(statusCode >= 200 && statusCode < 300 ? '' : `status ${statusCode}`)
      })
      response.on('error', fail)
    })
    const fail = (error: NodeJS.ErrnoException): void => settle(error.code ?? error.message)
    const settle = (reason: string): void => {
      if (!this.#pending.delete(sent)) return
      if (reason === '') this.responses++
      else {
        this.failed++
        this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1)
      }
      this.#onAnswer({ sentAt, ok: reason === '', reason })
    }
    sent.on('error', fail)
    this.#pending.add(sent)
    sent.end()
  }
}

function* prepend<T>(first: readonly T[], rest: Iterator<T>): Generator<T> {
  yield* first
  for (let next = rest.next(); next.done !== true; next = rest.next()) yield next.value
}

/** Waits until a moment of performance.now(); at once where it has passed. */
async function until(moment: number, signal: AbortSignal): Promise<void> {
  const left = moment - performance.now()
  if (left <= 0 || signal.aborted) {
    // The answers to what was sent need their turn even where the pattern is behind time.
    await new Promise(setImmediate)
    return
  }
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, left)
    signal.addEventListener('abort', done, { once: true })
  })
}
