import type { AddressInfo, Server } from 'node:net'
import { endpointText } from '../model/address.ts'
import { CommandError, exit } from './exit.ts'

/**
 * Binds a server. Without a host it listens on all addresses.
 *
 * @param flag by which people choose the port
 * @returns where it listens, `127.0.0.1:4444`
 * @throws CommandError that says who has the port, or why there is no such address
 */
export async function listening(
  server: Server,
  host: string | undefined,
  port: number,
  flag = '--port',
): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const place = endpointText(host ?? '*', port)
      reject(
        new CommandError(exit.unavailable, `cannot listen on ${place}: ${reason(error, flag)}`, {
          cause: error,
        }),
      )
    })
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve)
  })
  const { address, port: bound } = server.address() as AddressInfo
  return endpointText(address === '::' || address === '0.0.0.0' ? '127.0.0.1' : address, bound)
}

function reason(error: NodeJS.ErrnoException, flag: string): string {
  if (error.code === 'EADDRINUSE')
    return `another program has that port; choose one with ${flag}, 0 for any free one`
  if (error.code === 'EADDRNOTAVAIL') return 'this machine does not have that address; see "ip address"'
  if (error.code === 'EACCES') return 'ports below 1024 need a privilege; choose one above'
  if (error.syscall === 'getaddrinfo')
    return 'no name server knows that host; give an address of this machine'
  return error.message
}
