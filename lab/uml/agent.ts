import { execFile } from 'node:child_process'
import { openSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { ReadStream, WriteStream } from 'node:tty'
import { pathToFileURL } from 'node:url'
import { serve, type Methods } from '../channel.ts'
import { serialChannel } from './serial.ts'

export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** What every guest can do, beside the methods of the actor module. */
const guest = {
  run: async (command: string, args: readonly string[]): Promise<Ran> =>
    await new Promise((resolve) => {
      execFile(command, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 127
        resolve({ status, stdout, stderr: status === 127 && stderr === '' ? (error?.message ?? '') : stderr })
      })
    }),
} satisfies Methods
export type Guest = typeof guest

/** Runs inside User-Mode Linux: serves `run` and the `actor` of the named module on the serial line. */
if (import.meta.main) {
  const input = new ReadStream(openSync('/dev/ttyS0', 'r'))
  input.setRawMode(true)
  const channel = serialChannel('guest', input, new WriteStream(openSync('/dev/ttyS0', 'w')))
  // The host is gone, and then so is the kernel.
  channel.onClose(() => process.exit(0))
  const [module] = process.argv.slice(2)
  const { actor } = (module === undefined ? { actor: {} } : await import(pathToFileURL(module).href)) as {
    actor: Methods
  }
  serve({ ...guest, ...actor }, channel)
  channel.send('ready')
  // Its end may be a SIGKILL, and then nothing would be kept.
  flushCompileCache()
}
