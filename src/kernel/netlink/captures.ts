import { readFileSync } from 'node:fs'

/** What a program sent to the kernel and what came back: datagrams of netlink. */
export interface Capture {
  readonly sent: Uint8Array[]
  readonly received: Uint8Array[]
}

/** The captures of captures.txt, which says how they were made, by the command line. The first of two equal lines counts. */
export function readCaptures(): ReadonlyMap<string, Capture> {
  const captures = new Map<string, Capture>()
  const text = readFileSync(new URL('captures.txt', import.meta.url), 'utf8')
  for (const block of text.split('\n$ ').slice(1)) {
    const [command = '', ...lines] = block.trimEnd().split('\n')
    const datagrams = (mark: string) =>
      lines
        .filter((line) => line.startsWith(mark))
        .map((line) => Uint8Array.from(Buffer.from(line.slice(2), 'hex')))
    if (!captures.has(command)) captures.set(command, { sent: datagrams('> '), received: datagrams('< ') })
  }
  return captures
}
