import type { Readable, Writable } from 'node:stream'
import type { Channel } from '../channel.ts'

/** User-Mode Linux's terminal loses input beyond its 4 KB buffer, so the host sends this much and waits until it is taken. */
const windowBytes = 2048

/**
 * JSON lines over a serial line as a channel. Lines that are no JSON (kernel chatter) are passed over.
 *
 * @param side the host paces what it sends by what the guest says it has taken (`+BYTES` lines)
 */
export function serialChannel(
  side: 'host' | 'guest',
  input: Readable,
  output: Writable,
): Channel & { close(reason: string): void } {
  const messages = new Set<(message: unknown) => void>()
  const closes = new Set<(reason: string) => void>()
  let closed = false
  let rest = ''
  let unsent = ''
  let untaken = 0

  const close = (reason: string): void => {
    if (closed) return
    closed = true
    for (const listener of closes) listener(reason)
  }
  const pump = (): void => {
    if (closed || unsent === '' || untaken > 0) return
    const part = side === 'host' ? unsent.slice(0, windowBytes) : unsent
    unsent = unsent.slice(part.length)
    if (side === 'host') untaken = part.length
    output.write(part)
  }
  const onLine = (line: string): void => {
    if (/^\+\d+$/.test(line)) {
      untaken -= Number(line)
      pump()
      return
    }
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      return
    }
    for (const listener of messages) listener(message)
  }

  input.setEncoding('latin1')
  input.on('data', (chunk: string) => {
    if (side === 'guest') output.write(`+${chunk.length}\n`)
    const lines = `${rest}${chunk}`.split('\n')
    rest = lines.pop() ?? ''
    // libuv's raw mode still ends lines with CR LF.
    for (const line of lines) onLine(line.trimEnd())
  })
  // A kernel that was killed resets its pipes.
  input.on('error', () => close('the serial line broke'))
  output.on('error', () => close('the serial line broke'))
  input.on('end', () => close('the serial line ended'))
  return {
    send: (message) => {
      unsent += `${ascii(JSON.stringify(message))}\n`
      pump()
    },
    onMessage: (listener) => void messages.add(listener),
    onClose: (listener) => void closes.add(listener),
    close,
  }
}

/** So that characters are bytes. */
const ascii = (json: string): string =>
  json.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
