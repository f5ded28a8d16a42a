import { parseArgs } from 'node:util'
import { Board } from '../src/gateway/board.ts'
import { Publisher } from '../src/gateway/publisher.ts'
import { Statistics } from '../src/gateway/statistics.ts'
import { GatewayThread } from '../src/gateway/thread.ts'
import { ProxyCounters } from '../src/proxy/http/proxyCounters.ts'
import { AccessLog } from '../src/proxy/http/proxyLog.ts'
import type { Connection, StreamEvents, StreamTransport } from '../src/proxy/stream.ts'

/**
 * What the gateway itself costs: its engine and policy over a transport that moves nothing, so that neither kernel nor
 * peers are in the figure. CPU µs per request, the least of the rounds; in use, caches that the kernel fills make it about
 * twice as much.
 */
const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '64' },
    requests: { type: 'string', default: '300000' },
    rounds: { type: 'string', default: '7' },
    'no-log': { type: 'boolean', default: false },
  },
})
const request = Buffer.from('GET /function/static/small HTTP/1.1\r\nHost: 127.0.0.1:34567\r\n\r\n')
/** As nginx answers with a file. */
const response = Buffer.from(
  [
    'HTTP/1.1 200 OK',
    'Server: nginx/1.22.1',
    'Date: Sat, 21 Nov 2026 19:44:29 GMT',
    'Content-Type: text/plain',
    'Content-Length: 20',
    'Last-Modified: Sat, 21 Nov 2026 19:44:29 GMT',
    'Connection: keep-alive',
    'ETag: "6740b0ed-14"',
    'Accept-Ranges: bytes',
    '',
    '01234567890123456789',
  ].join('\r\n'),
)

/** Whatever is sent has been sent in the next turn, and is answered then. */
class Mirror implements StreamTransport {
  readonly name = 'ring'
  readonly slotBytes = 65_536
  readonly arena = new Uint8Array(4096 * this.slotBytes)
  served = 0
  readonly #events: StreamEvents[] = []
  readonly #isUpstream: boolean[] = []
  readonly #receiveAt: number[] = []
  readonly #sendBytes: number[] = []
  #turn: (() => void)[] = []
  #clients: StreamEvents | null = null
  #now = 0

  slotOf = (connection: Connection): number => connection * this.slotBytes
  now = (): number => this.#now
  peerOf = (): { address: string; port: number } => ({ address: '127.0.0.1', port: 4711 })
  localOf = (): { address: string; port: number } => ({ address: '127.0.0.1', port: 80 })
  isRelayFull = (): boolean => false
  wakeAfter(): void {}
  shutdown(): void {}
  close(): void {}
  reset(): void {}
  end(): void {}

  listen(): never {
    throw new Error('clients come by `arrive`')
  }

  relay(): never {
    throw new Error('no body is that long')
  }

  serve(events: StreamEvents): { port: number; close(): void } {
    this.#clients = events
    return { port: 80, close: () => {} }
  }

  arrive(): void {
    const events = this.#clients
    if (events === null) throw new Error('nobody listens')
    const connection = this.#open(events, false)
    events.accepted(connection)
    this.#deliver(connection)
  }

  connect(_address: string, _port: number, events: StreamEvents): Connection {
    const connection = this.#open(events, true)
    this.#turn.push(() => events.connected(connection, 0))
    return connection
  }

  receive(connection: Connection, at: number): void {
    this.#receiveAt[connection] = at
  }

  send(connection: Connection, _at: number, bytes: number): void {
    this.#sendBytes[connection] = bytes
    this.#pending[this.#count++] = connection
  }

  /** One turn of all that waits. */
  turn(): void {
    this.#now += 0.2
    const opened = this.#turn
    this.#turn = []
    for (const open of opened) open()
    const sent = this.#pending.slice(0, this.#count)
    this.#count = 0
    for (const connection of sent) {
      this.#events[connection]?.sent(connection, this.#sendBytes[connection] ?? 0)
      this.#deliver(connection)
    }
  }

  readonly #pending = new Int32Array(8192)
  #count = 0

  #open(events: StreamEvents, isUpstream: boolean): Connection {
    const connection = this.#events.push(events) - 1
    this.#isUpstream.push(isUpstream)
    this.#receiveAt.push(0)
    this.#sendBytes.push(0)
    return connection
  }

  #deliver(connection: Connection): void {
    const isUpstream = this.#isUpstream[connection] === true
    if (!isUpstream) this.served++
    const bytes = isUpstream ? response : request
    this.arena.set(bytes, this.#receiveAt[connection])
    this.#events[connection]?.received(connection, bytes.length)
  }
}

const size = { upstreams: 1024, functions: 1024, members: 1024 }
const mirror = new Mirror()
const board = new Board(size, Date.now())
const statistics = new Statistics(size.members, size.functions)
const log = new AccessLog(16_384)
const thread = new GatewayThread(
  mirror,
  {
    identity: {
      zones: ['bench'],
      node: 'bench',
      dummy: false,
      unsignedPeers: [],
      hopKey: null,
      hopLimit: 1,
    },
    size,
    epochMs: Date.now(),
    board: board.memory,
    statistics: statistics.memory,
    counters: new ProxyCounters().values.buffer as SharedArrayBuffer,
    accessLog: values['no-log'] ? null : log.memory,
    proxy: {},
    held: false,
  },
  () => {},
)
const publisher = new Publisher({ board, statistics: [statistics], gateways: new Set() })
const instances = ['127.0.0.1', '127.0.0.2'].map((address) => ({
  text: `${address}:9001`,
  address,
  port: 9001,
}))
const spec = { ips: instances.map(({ text }) => text), weights: [1, 1] }
const { change } = publisher.change([{ name: 'static', published: { spec, instances } }])
await thread.receive({ type: 'change', change, sequence: 1 })
thread.serve((events) => mirror.serve(events))
for (let client = 0; client < Number(values.clients); client++) mirror.arrive()

const requests = Number(values.requests)
let least = Infinity
for (let round = 0; round <= Number(values.rounds); round++) {
  const before = process.cpuUsage()
  const end = mirror.served + requests
  while (mirror.served < end) mirror.turn()
  const { user, system } = process.cpuUsage(before)
  // The first one is for the compiler.
  if (round > 0) least = Math.min(least, (user + system) / requests)
}
console.log(
  `${values.clients} clients, ${values['no-log'] ? 'without' : 'with'} access log: ${least.toFixed(2)} µs a request`,
)
