import { readdirSync, readFileSync } from 'node:fs'
import { createServer, Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { getSystemErrorMessage } from 'node:util'
import { SystemCallError } from '../ffi.ts'
import { loadCalls } from './calls.ts'

const EFD_CLOEXEC = 0o2000000

/** What is written to its descriptor, an eventfd(2), calls back within this thread's event loop. */
export interface Watch {
  readonly descriptor: number
  /** The epoll(7) by which this thread's event loop waits: readable when it has something to do, timers aside. */
  readonly eventLoop: number
  close(): void
}

/** Node's handle of a pipe. It opens whatever read(2) reads; `new Socket({ fd })` refuses what it does not know. */
type PipeHandle = new (kind: 0) => { open(descriptor: number): number; close(): void }

/** @throws SystemCallError where no descriptor is left, TypeError where this runtime has no such handle */
export async function openWatch(written: () => void): Promise<Watch> {
  const calls = await loadCalls()
  const handle = new (await pipeHandle())(0)
  const descriptor = calls.eventfd(0, EFD_CLOEXEC)
  const result = descriptor < 0 ? descriptor : handle.open(descriptor)
  if (result < 0) {
    if (descriptor >= 0) calls.close(descriptor)
    handle.close()
    throw new SystemCallError('eventfd', -result, getSystemErrorMessage(result))
  }
  const onread = {
    // The count, of which nothing is made.
    buffer: new Uint8Array(8),
    callback: () => {
      written()
      return true
    },
  }
  const socket = new Socket({ handle, readable: true, onread } as object)
  socket.resume()
  // The event loop tells the kernel of it when it waits next.
  await setImmediate()
  await setImmediate()
  const eventLoop = epollOf(descriptor)
  if (eventLoop === null) {
    socket.destroy()
    throw new Error('the epoll of the event loop is not to be seen: is /proc mounted?')
  }
  return { descriptor, eventLoop, close: () => void socket.destroy() }
}

/** Which epoll waits for a descriptor: proc_pid_fdinfo(5) has a line such as "tfd:       17 events: 1d" for each. */
function epollOf(descriptor: number): number | null {
  const waits = new RegExp(`^tfd: +${descriptor} `, 'm')
  for (const name of readdirSync('/proc/self/fdinfo')) {
    if (waits.test(fdinfo(name))) return Number(name)
  }
  return null
}

function fdinfo(name: string): string {
  try {
    return readFileSync(`/proc/self/fdinfo/${name}`, 'utf8')
  } catch {
    // It was closed meanwhile.
    return ''
  }
}

/** The class of a listening Unix socket's handle. */
function pipeHandle(): Promise<PipeHandle> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // A name in the abstract namespace (unix(7)), which leaves no file.
    server.listen(`\0torb ${process.pid} ${performance.now()}`, () => {
      const { _handle: handle } = server as unknown as { _handle?: { constructor: PipeHandle } }
      server.close()
      if (handle === undefined) reject(new TypeError('this runtime shows no handle of a Unix socket'))
      else resolve(handle.constructor)
    })
  })
}
