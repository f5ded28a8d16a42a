import { writeSync } from 'node:fs'
import { getSystemErrorMessage } from 'node:util'
import { SystemCallError } from '../ffi.ts'
import { loadCalls } from './calls.ts'

const EFD_CLOEXEC = 0o2000000
const one = new Uint8Array(new BigUint64Array([1n]).buffer)

/** Wakes a thread that waits in its ring. Made by the thread that wakes, closed once the other one has ended. */
export interface Wake {
  /** An eventfd(2), for the ring to read. */
  readonly descriptor: number
  /** Callable from any thread; several before it is seen are one. */
  wake(): void
  close(): void
}

/** @throws SystemCallError where no descriptor is left */
export async function openWake(): Promise<Wake> {
  const calls = await loadCalls()
  const descriptor = calls.eventfd(0, EFD_CLOEXEC)
  if (descriptor < 0) throw new SystemCallError('eventfd', -descriptor, getSystemErrorMessage(descriptor))
  return {
    descriptor,
    wake: () => void writeSync(descriptor, one),
    close: () => void calls.close(descriptor),
  }
}
