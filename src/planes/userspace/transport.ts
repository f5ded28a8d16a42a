import { ringMissing } from '../../kernel/uring/probe.ts'
import { portable } from '../../proxy/portable/transport.ts'
import { openRingTransport } from '../../proxy/ring/transport.ts'
import type { Transport } from '../../proxy/transport.ts'
import type { PlaneLog } from './context.ts'

export interface OpenTransport {
  readonly transport: Transport
  /** Why it is not the ring; '' where it is. */
  readonly ringMissing: string
}

/** io_uring where it can be had, else node:net; which and why goes to the log. */
export async function openTransport(
  log: PlaneLog | undefined,
  openRing: () => Promise<Transport> = openRingTransport,
): Promise<OpenTransport> {
  let missing = await ringMissing()
  if (missing === null) {
    try {
      const transport = await openRing()
      log?.info('plane userspace: TCP goes over io_uring')
      return { transport, ringMissing: '' }
    } catch (error) {
      // Such as memory that suffices for the probe and not for this one (RLIMIT_MEMLOCK).
      missing = error instanceof Error ? error.message : String(error)
    }
  }
  log?.info(`plane userspace: TCP goes over node:net, at up to twice the CPU of io_uring: ${missing}`)
  return { transport: portable, ringMissing: missing }
}
