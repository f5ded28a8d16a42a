import { addressBytes, familyOf } from '../model/address.ts'
import type { Ends } from './transport.ts'

/** PROXY protocol, version 2 (haproxy doc/proxy-protocol.txt §2.2). */
const signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
/** Version 2, command PROXY. */
const versionAndCommand = 0x21
/** Family in the high nibble (AF_INET 1, AF_INET6 2), STREAM in the low one. */
const streamOver = { 4: 0x11, 6: 0x21 } as const

/** The header that tells a backend who the client is and what it connected to. Both addresses are of one family. */
export function proxyHeader(ends: Ends): Buffer {
  const family = familyOf(ends.remoteAddress)
  if (family === null || family !== familyOf(ends.localAddress)) {
    throw new TypeError(
      `PROXY header needs two addresses of one family, not "${ends.remoteAddress}" and "${ends.localAddress}"`,
    )
  }
  const size = family === 4 ? 4 : 16
  const header = Buffer.alloc(16 + 2 * size + 4)
  header.set(signature)
  header[12] = versionAndCommand
  header[13] = streamOver[family]
  header.writeUInt16BE(2 * size + 4, 14)
  header.set(addressBytes(ends.remoteAddress), 16)
  header.set(addressBytes(ends.localAddress), 16 + size)
  header.writeUInt16BE(ends.remotePort, 16 + 2 * size)
  header.writeUInt16BE(ends.localPort, 18 + 2 * size)
  return header
}
