import { parseArgs } from 'node:util'
import { Gateway } from '../src/gateway/gateway.ts'
import type { BenchFunction } from './gatewayProxies.ts'

/** A program for bench/gateway.ts: the gateway as one Worker on a transport, without the daemon around it. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { transport: { type: 'string' }, port: { type: 'string' }, log: { type: 'string' } },
})
const silent = { info: () => undefined, warn: () => undefined }
const gateway = await Gateway.start({
  address: '127.0.0.1',
  port: Number(values.port),
  transport: values.transport === 'ring' ? 'ring' : 'portable',
  workers: 1,
  zones: ['bench'],
  node: 'bench',
  gateways: [],
  dummy: false,
  unsignedPeers: [],
  hopKey: null,
  hopLimit: 1,
  log: silent,
  accessLog: values.log === undefined ? undefined : { path: values.log, every: 1 },
  ejected: () => undefined,
})
const functions = JSON.parse(positionals[0] ?? '[]') as readonly BenchFunction[]
await gateway.apply(
  functions.map(({ name, instances }) => {
    const placed = instances.map(({ address, port }) => ({ text: `${address}:${port}`, address, port }))
    const spec = { ips: placed.map(({ text }) => text), weights: instances.map(({ weight }) => weight) }
    return { name, published: { spec, instances: placed } }
  }),
)
console.log('ready')
