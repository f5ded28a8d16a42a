import { addressBytes } from '../../model/address.ts'
import type { Ends } from '../../proxy/transport.ts'
import type { Pick } from '../../schedulers/scheduler.ts'

/** A new connection as schedulers see it; addresses are only parsed for those that ask. */
export class Arrival implements Pick {
  readonly ends: Ends
  readonly now: number
  readonly random: () => number

  constructor(ends: Ends, now: number, random: () => number) {
    this.ends = ends
    this.now = now
    this.random = random
  }

  get source(): Uint8Array {
    return addressBytes(this.ends.remoteAddress)
  }
  get sourcePort(): number {
    return this.ends.remotePort
  }
  get destination(): Uint8Array {
    return addressBytes(this.ends.localAddress)
  }
  get destinationPort(): number {
    return this.ends.localPort
  }
}
