import type { Io } from './command.ts'
import { exit } from './exit.ts'
import { listenForInterrupt } from './interrupt.ts'

/** The real process. A reader that goes away (`torb top | head`) ends it quietly, a full disk with a sentence. */
export function processIo(): Io {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exit.ok)
    process.stderr.write(`torb: cannot write its output (${error.message}): make room, or write elsewhere\n`)
    process.exit(exit.cannotCreate)
  })
  return {
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    env: process.env,
    tty: process.stdout.isTTY,
    colour: process.stdout.isTTY && process.stdout.hasColors(),
    columns: () => process.stdout.columns ?? 80,
    rows: () => process.stdout.rows ?? 24,
    keys,
    interrupt: listenForInterrupt,
  }
}

function keys(onKey: (key: string) => void): () => void {
  const { stdin } = process
  if (!stdin.isTTY) return () => {}
  const onData = (data: Buffer): void => {
    for (const key of data.toString('utf8')) onKey(key)
  }
  stdin.setRawMode(true)
  stdin.on('data', onData)
  return () => {
    stdin.off('data', onData)
    stdin.setRawMode(false)
    stdin.pause()
  }
}
