import { ringMissing } from '../../kernel/uring/probe.ts'
import { portable } from '../../proxy/portable/transport.ts'
import { openRingTransport } from '../../proxy/ring/transport.ts'
import type { Transport } from '../../proxy/transport.ts'
import type { PlaneLog } from './context.ts'

/** io_uring where it can be had, else node:net; which and why goes to the log. */
export async function openTransport(log: PlaneLog | undefined): Promise<Transport> {
  let missing = await ringMissing()
  if (missing === null) {
    try {
      const ring = await openRingTransport()
      log?.info('plane userspace: TCP goes over io_uring')
      return ring
    } catch (error) {
      missing = error instanceof Error ? error.message : String(error)
    }
  }
  log?.info(`plane userspace: TCP goes over node:net, at up to twice the CPU of io_uring: ${missing}`)
  return portable
}
