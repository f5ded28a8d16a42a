import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { endpointOf, listenOn, socketAddressOf } from './sockets.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

describe('socket addresses', () => {
  it('are struct sockaddr_in and sockaddr_in6', () => {
    expect(hex(socketAddressOf('192.0.2.1', 8080))).toBe('02001f90c00002010000000000000000')
    expect(hex(socketAddressOf('2001:db8::1', 443))).toBe(
      '0a0001bb0000000020010db800000000000000000000000100000000',
    )
  })

  it.each([
    ['0.0.0.0', 0],
    ['255.255.255.255', 65_535],
    ['::', 1],
    ['fe80::1:0:0:2', 256],
  ])('come back as they went: %s %i', (address, port) => {
    expect(endpointOf(socketAddressOf(address, port))).toEqual({ address, port })
  })

  it('are refused where they are none', () => {
    expect(() => socketAddressOf('localhost', 1)).toThrow('"localhost" is no IPv4 or IPv6 address')
  })
})

describe.skipIf(process.platform !== 'linux')('listening sockets', () => {
  it('take a free port and are taken then', async () => {
    const socket = await listenOn('127.0.0.1', 0)
    try {
      const peer = connect(socket.port, '127.0.0.1')
      await once(peer, 'connect')
      peer.destroy()
      await expect(listenOn('127.0.0.1', socket.port)).rejects.toThrow(
        `EADDRINUSE: address already in use 127.0.0.1:${socket.port}`,
      )
    } finally {
      socket.close()
    }
  })

  it('of IPv6 leave IPv4 to others', async () => {
    const six = await listenOn('::', 0)
    try {
      const four = await listenOn('0.0.0.0', six.port)
      four.close()
    } finally {
      six.close()
    }
  })
})
