import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

/**
 * The interface whose first address is the default virtual address: the one named, else eth0 where there is one, else
 * that of the default route; null where there is none.
 *
 * @throws Error when the named one does not exist
 */
export function defaultInterface(named: string | undefined): string | null {
  const known = networkInterfaces()
  if (named !== undefined) {
    if (known[named] !== undefined || interfaceExists(named)) return named
    throw new Error(
      `interface "${named}" does not exist on this machine: choose one of ${Object.keys(known).join(', ')} with -i`,
    )
  }
  return known['eth0'] === undefined ? defaultRouteInterface() : 'eth0'
}

/**
 * The first address of an interface, IPv4 before IPv6, link-local ones last; null while it has none.
 *
 * @param isAdded true for addresses that Torb put there itself: the kernel lists the latest of IPv6 first
 */
export function firstAddress(
  name: string,
  isAdded: (address: string) => boolean = () => false,
): string | null {
  const addresses = (networkInterfaces()[name] ?? []).filter((entry) => !isAdded(entry.address))
  const usable = addresses.filter((entry) => !entry.address.startsWith('fe80:'))
  return (usable.find((entry) => entry.family === 'IPv4') ?? usable[0] ?? addresses[0])?.address ?? null
}

/** All addresses of this machine, as text. */
export function localAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((entries) =>
    (entries ?? []).map((entry) => entry.address),
  )
}

// networkInterfaces leaves out interfaces that are down or have no address.
function interfaceExists(name: string): boolean {
  return readProc('/proc/net/dev')
    .split('\n')
    .some((line) => line.trim().startsWith(`${name}:`))
}

function defaultRouteInterface(): string | null {
  // Iface Destination Gateway Flags …: the default route has destination 00000000 (fs/proc: net/ipv4/fib_trie.c).
  const route = readProc('/proc/net/route')
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .find((columns) => columns[1] === '00000000')
  return route?.[0] ?? null
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
