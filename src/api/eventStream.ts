import type { ServerResponse } from 'node:http'
import type { EventLog, Numbered } from '../control/events.ts'

/** Unsent bytes from which on a reader is too slow to be kept. */
const maxBacklog = 1024 * 1024
/** How long a dropped reader has to fetch what is still on its way, the news of being dropped included. */
const graceMs = 5000

interface Reader {
  readonly response: ServerResponse
  readonly about: About
}

/** What a reader wants to hear of; null: of all. */
export interface About {
  readonly service: string | null
  readonly function: string | null
}

/**
 * Feeds the event log to readers as server-sent events (WHATWG HTML §9.2).
 *
 * Numbers begin anew with every start, so an id is `EPOCH-NUMBER`; a reader that resumes with the id of an earlier start,
 * or after more events than are kept, first gets an event `missed`.
 */
export class EventStream {
  readonly #log: EventLog
  readonly #epoch: string
  readonly #readers = new Set<Reader>()
  readonly #unsubscribe: () => void
  readonly #heartbeat: NodeJS.Timeout

  constructor(log: EventLog, startedAt: number, heartbeatMs = 15_000) {
    this.#log = log
    this.#epoch = startedAt.toString(36)
    this.#unsubscribe = log.subscribe((numbered) => this.#publish(numbered))
    this.#heartbeat = setInterval(() => this.#send(this.#readers, ': alive\n\n'), heartbeatMs).unref()
  }

  get readers(): number {
    return this.#readers.size
  }

  /**
   * Sends what is kept since `lastEventId`, then everything to come.
   *
   * @param lastEventId as the reader had it from us; null: only what is to come
   */
  add(response: ServerResponse, about: About, lastEventId: string | null): void {
    const reader = { response, about }
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    response.on('error', () => {})
    response.once('close', () => this.#readers.delete(reader))
    response.write(`retry: 2000\n\n${lastEventId === null ? '' : this.#resumed(reader, lastEventId)}`)
    this.#readers.add(reader)
  }

  /** Ends every stream with an event `closing`. */
  close(): void {
    clearInterval(this.#heartbeat)
    this.#unsubscribe()
    for (const { response } of this.#readers) response.end('event: closing\ndata: {}\n\n')
    this.#readers.clear()
  }

  #resumed(reader: Reader, lastEventId: string): string {
    const [epoch, number = ''] = lastEventId.split('-')
    const known = epoch === this.#epoch && /^\d{1,15}$/.test(number)
    const after = known ? Number(number) : 0
    const events = this.#log.since(after)
    const gap = !known || (events[0] !== undefined && events[0].id > after + 1)
    const missed = gap
      ? `event: missed\ndata: {"reason":"events after ${known ? 'that id' : 'an earlier start'} are no longer kept"}\n\n`
      : ''
    return (
      missed +
      events
        .filter((numbered) => concerns(reader, numbered))
        .map((numbered) => this.#encode(numbered))
        .join('')
    )
  }

  #publish(numbered: Numbered): void {
    if (this.#readers.size === 0) return
    const interested = [...this.#readers].filter((reader) => concerns(reader, numbered))
    this.#send(interested, this.#encode(numbered))
  }

  #send(readers: Iterable<Reader>, text: string): void {
    for (const reader of readers) {
      if (reader.response.writableLength <= maxBacklog) reader.response.write(text)
      else this.#drop(reader)
    }
  }

  #drop(reader: Reader): void {
    this.#readers.delete(reader)
    const { response } = reader
    response.end('event: dropped\ndata: {"reason":"the reader is too slow: resume with Last-Event-ID"}\n\n')
    const timer = setTimeout(() => response.destroy(), graceMs).unref()
    response.once('close', () => clearTimeout(timer))
  }

  #encode({ id, event }: Numbered): string {
    return `id: ${this.#epoch}-${id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
  }
}

function concerns({ about }: Reader, { event }: Numbered): boolean {
  if (about.service === null && about.function === null) return true
  return (
    ('service' in event && event.service === about.service) ||
    ('function' in event && event.function === about.function)
  )
}
