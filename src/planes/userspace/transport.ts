import { ringMissing } from '../../kernel/uring/probe.ts'
import { portable } from '../../proxy/portable/transport.ts'
import { openRingTransport } from '../../proxy/ring/transport.ts'
import type { Transport } from '../../proxy/transport.ts'

export async function openTransport(): Promise<Transport> {
  return (await ringMissing()) === null ? openRingTransport() : portable
}
