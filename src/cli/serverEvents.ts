/** One event of a text/event-stream (HTML Living Standard, 9.2). */
export interface ServerEvent {
  readonly id: string
  readonly type: string
  readonly data: string
}

/** The events of a stream as it comes in, cut anywhere. */
export async function* eventsOf(chunks: AsyncIterable<string>): AsyncGenerator<ServerEvent> {
  let rest = ''
  let event = { id: '', type: 'message', data: [] as string[] }
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') {
        if (event.data.length > 0) yield { ...event, data: event.data.join('\n') }
        event = { id: event.id, type: 'message', data: [] }
        continue
      }
      const colon = line.indexOf(':')
      const field = colon < 0 ? line : line.slice(0, colon)
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
      if (field === 'data') event.data.push(value)
      else if (field === 'event') event.type = value
      else if (field === 'id') event.id = value
    }
  }
}
