import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { addressBytes, canonicalAddress } from '../../model/address.ts'
import { encodeInetDiagRequest, SockDiag } from './sockDiag.ts'

const missing = await SockDiag.open().then(
  (diag) => {
    diag.close()
    return ''
  },
  (error: unknown) => String(error),
)
if (missing !== '')
  console.warn(`skipped: who owns a socket, as this kernel does not answer sock_diag (${missing})`)

const bytesOf = (text: string) => addressBytes(canonicalAddress(text))

describe('sock_diag', () => {
  it('asks for one connected socket, in struct inet_diag_req_v2', () => {
    const bytes = encodeInetDiagRequest(
      { address: bytesOf('127.0.0.1'), port: 0x1234 },
      { address: bytesOf('::ffff:127.0.0.2'), port: 80 },
    )
    expect(Buffer.from(bytes).toString('hex')).toBe(
      '02060000' +
        'ffffffff' +
        '12340050' +
        '7f000001'.padEnd(32, '0') +
        '7f000002'.padEnd(32, '0') +
        '00000000' +
        'f'.repeat(16),
    )
  })

  for (const [bind, dial] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
  ] as const) {
    it.skipIf(missing !== '')(
      `knows the owner of a peer that dials ${dial} on a listener at ${bind}`,
      async () => {
        const diag = await SockDiag.open()
        const server = createServer().listen(0, bind)
        await once(server, 'listening')
        const client = connect((server.address() as AddressInfo).port, dial)
        const [peer] = (await once(server, 'connection')) as [Socket]
        const remote = { address: bytesOf(peer.remoteAddress ?? ''), port: peer.remotePort ?? 0 }
        const local = { address: bytesOf(peer.localAddress ?? ''), port: peer.localPort ?? 0 }
        expect(diag.ownerOf(remote, local)).toBe(process.getuid?.())
        // Nothing is connected there; the kernel would answer with the listener, which is ours.
        expect(diag.ownerOf(local, { ...remote, port: 1 })).toBeNull()
        expect(diag.ownerOf({ ...remote, port: 1 }, { ...local, port: 1 })).toBeNull()
        client.destroy()
        peer.destroy()
        server.close()
        diag.close()
      },
    )
  }
})
