import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { answering, Bench, ok, type OpenTransport, Wire } from './proxyFixture.ts'

/** Requests of several clients at once: each is sent as its own client sent it, though all are scanned into one head. */
export function sharedSuite(name: string, open: OpenTransport): void {
  describe(`clients beside each other over ${name}`, () => {
    const bench = new Bench(open)

    it('sends a request again as it was, also over a pooled connection and after others were read', async () => {
      const held: Wire[] = []
      const { client, policy } = await bench.proxy([
        (wire) => void wire.has('\r\n\r\n').then(() => held.push(wire)),
        answering((head) => ok(head.split(' ')[1] ?? '')),
      ])
      policy.decided = (decision, request) => {
        decision.upstream = request.bytes[request.targetAt + 1] === 0x61 ? 0 : 1
      }
      const [one, other] = [client(), client()]
      // So that a connection to the second upstream is in the pool.
      other.send('GET /b1 HTTP/1.1\r\nHost: b\r\n\r\n')
      expect((await other.response()).body).toBe('/b1')
      one.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n')
      await expect.poll(() => held.length).toBe(1)
      other.send('GET /b2 HTTP/1.1\r\nHost: b\r\nX-Long: and of another length\r\n\r\n')
      expect((await other.response()).body).toBe('/b2')
      held[0]?.socket.resetAndDestroy()
      expect((await one.response()).body).toBe('/a')
    })

    it('tells upstreams of each its own client', async () => {
      const told = new Map<string, string>()
      const { port } = await bench.proxy([
        answering((head) => {
          told.set(head.split(' ')[1] ?? '', /^X-Forwarded-For: (.*)\r$/m.exec(head)?.[1] ?? '')
          return ok('')
        }),
      ])
      const addresses = Array.from({ length: 20 }, (_, index) => `127.0.4.${index + 1}`)
      const wires = addresses.map((localAddress) => {
        const socket = connect({ port, host: '127.0.0.1', localAddress })
        bench.add(() => void socket.destroy())
        return new Wire(socket)
      })
      for (const [index, wire] of wires.entries())
        wire.send(`GET /${addresses[index]} HTTP/1.1\r\nHost: a\r\n\r\n`)
      await Promise.all(wires.map((wire) => wire.response()))
      expect([...told]).toEqual([...told].map(([target]) => [target, target.slice(1)]))
      expect(told.size).toBe(addresses.length)
    })
  })
}
