import { localAddresses } from '../kernel/interfaces.ts'
import { canonicalAddress, familyOf, isLoopback } from '../model/address.ts'

export interface Listener {
  /** As bound: 0.0.0.0 and :: stand for every address of this host. */
  readonly address: string
  readonly port: number
}

/** True for an address that belongs to this host: its interfaces', 127.0.0.0/8 and ::1. */
export function isLocalAddress(address: string, local: () => readonly string[] = localAddresses): boolean {
  return (
    familyOf(address) !== null &&
    (isLoopback(address) || local().some((own) => canonicalAddress(own) === canonicalAddress(address)))
  )
}

/**
 * Whether a backend at `address` and `port` would be one of Torb's own API listeners, so that proxied strangers would
 * come from loopback and be trusted.
 *
 * @param port 0: whatever port a client connects to
 */
export function isOwnListener(
  listeners: readonly Listener[],
  address: string,
  port: number,
  local: () => readonly string[] = localAddresses,
): boolean {
  if (familyOf(address) === null) return false
  const target = reached(canonicalAddress(address))
  return listeners.some((listener) => {
    if (port !== 0 && port !== listener.port) return false
    const bound = canonicalAddress(listener.address)
    return isUnspecified(bound) ? isLocalAddress(target, local) : target === bound
  })
}

/** Whether only one of the two can be bound; port 0: a free one is taken. */
export function isSamePlace(a: Listener, b: Listener): boolean {
  if (a.port === 0 || a.port !== b.port) return false
  const [one, other] = [canonicalAddress(a.address), canonicalAddress(b.address)]
  return one === other || takes(one, other) || takes(other, one)
}

/** `::` takes clients of both families. */
const takes = (bound: string, address: string): boolean =>
  bound === '::' || (bound === '0.0.0.0' && familyOf(address) === 4)

/** Linux connects to loopback where asked for the unspecified address. */
function reached(address: string): string {
  if (address === '0.0.0.0') return '127.0.0.1'
  return address === '::' ? '::1' : address
}

/** True for 0.0.0.0 and ::, which stand for every address of the host. */
export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || address === '::'
}
