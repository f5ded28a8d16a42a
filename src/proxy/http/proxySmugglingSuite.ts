import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Piece } from './headPiece.ts'
import { Bench, type OpenTransport, type Wire } from './proxyFixture.ts'
import { type PassedOn, type RefusedWith, smugglingCases } from './smuggling.ts'

const ways: Readonly<Record<string, (wire: Wire, text: string) => Promise<void>>> = {
  'in one piece': async (wire, text) => void wire.send(text),
  'byte by byte': (wire, text) => wire.sendBytewise(text),
}

/** What the client learned of one request: what the upstream saw of it, or the proxy's refusal. */
async function outcome(wire: Wire): Promise<PassedOn | RefusedWith> {
  const { head, body } = await wire.response()
  const status = Number(head.split(' ', 2)[1])
  return status === 200 ? (JSON.parse(body) as PassedOn) : { status }
}

/** The corpus as clients send it to a proxy before another implementation's server: all of it beside each other. */
export function smugglingSuite(name: string, open: OpenTransport): void {
  describe.each(Object.entries(ways))(`smuggling over ${name}, %s`, (_, deliver) => {
    const bench = new Bench(open)

    it('has each request passed on as it is, or refused, and nothing behind a refused one', async () => {
      const seen: PassedOn[] = []
      const server = createServer((request, response) => {
        let body = ''
        request.setEncoding('latin1')
        request.on('data', (text: string) => (body += text))
        // Where the rest of a body is refused it ends in an error instead.
        request.on('error', () => undefined)
        request.on('end', () => {
          const passedOn = { target: request.url ?? '', body }
          seen.push(passedOn)
          response.end(JSON.stringify(passedOn))
        })
      })
      // The proxy is to notice by itself, whatever the server would answer to the beginning of a bad chunk.
      server.on('clientError', () => undefined)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      bench.add(() => {
        server.closeAllConnections()
        server.close()
      })
      const { port } = server.address() as AddressInfo
      // However long a client takes to send what is refused, it is not reset.
      const { client, policy } = await bench.proxy([], { lingerMs: 60_000 }, 4 * smugglingCases.length)
      policy.upstreams.push({ address: '127.0.0.1', port, host: new Piece('upstream') })

      const found = await Promise.all(
        smugglingCases.map(async ({ name, bytes, expected }) => {
          const wire = client()
          await deliver(wire, bytes)
          const outcomes: (PassedOn | RefusedWith)[] = []
          for (const _ of expected) outcomes.push(await outcome(wire))
          const isRefused = expected.some((each) => 'status' in each)
          return { name, outcomes, rest: isRefused ? await wire.end() : wire.text, error: wire.error }
        }),
      )
      expect(found).toEqual(
        smugglingCases.map(({ name, expected }) => ({
          name,
          outcomes: expected.map((each) => ('status' in each ? { status: each.status } : each)),
          rest: '',
          error: '',
        })),
      )
      const passedOn = smugglingCases.flatMap(({ expected }) => expected).filter((each) => 'body' in each)
      const inOrder = (all: readonly PassedOn[]): string[] =>
        all.map(({ target, body }) => `${target} ${body}`).sort()
      expect(inOrder(seen)).toEqual(inOrder(passedOn))
    })
  })
}
