import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import type { TrafficActor } from './actors/traffic.ts'
import { Network, namespacesMissing, type Layout } from './namespaces.ts'

const layout: Layout = {
  bridges: { lan: ['10.9.0.1/24', 'fd00:9::1/64'] },
  local: ['10.99.0.0/16', 'fd00:99::/64'],
  members: {
    one: { bridge: 'lan', addresses: ['10.9.0.2/24', 'fd00:9::2/64'], gateways: ['10.9.0.1', 'fd00:9::1'] },
    two: { bridge: 'lan', addresses: ['10.9.0.3/24', 'fd00:9::3/64'] },
  },
}
const traffic = new URL('actors/traffic.ts', import.meta.url)

function standing(pid: number): string[] {
  try {
    return readdirSync('/run/netns').filter((name) => name.startsWith(`torb-${pid}-`))
  } catch {
    return []
  }
}

/** A process that lays out the network, says so, and does not end. */
async function holder() {
  const code = `import { Network } from ${JSON.stringify(fileURLToPath(new URL('namespaces.ts', import.meta.url)))}
await Network.create(${JSON.stringify(layout)})
console.log('standing')
setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  const { pid = 0 } = child
  return { child, pid }
}

const missing = namespacesMissing()

describe.skipIf(missing !== null)(`namespaces${missing === null ? '' : ` (${missing})`}`, () => {
  it('carry traffic between members, and to local addresses of the hub by routes', async () => {
    const network = await Network.create(layout)
    try {
      const [client, server, hub] = await Promise.all([
        network.member('one').actor<TrafficActor>(traffic),
        network.member('two').actor<TrafficActor>(traffic),
        network.hub.actor<TrafficActor>(traffic),
      ])
      const cases = [
        { at: server, name: 's4', source: '10.9.0.2', address: '10.9.0.3' },
        { at: server, name: 's6', source: 'fd00:9::2', address: 'fd00:9::3' },
        { at: hub, name: 'h4', source: '10.9.0.2', address: '10.99.7.8' },
        { at: hub, name: 'h6', source: 'fd00:9::2', address: 'fd00:99::5' },
      ]
      for (const { at, name, source, address } of cases) {
        const port = await at.listen(name, address, 0)
        for (const protocol of ['tcp', 'udp'] as const) {
          const { answers, failures } = await client.exchange({
            protocol,
            from: [source],
            to: { address, port },
            count: 1,
          })
          expect(failures).toEqual([])
          expect(answers).toMatchObject([{ backend: name, client: source }])
        }
      }
    } finally {
      network.close()
    }
    expect(standing(process.pid)).toEqual([])
  })

  it('run commands inside, and say what a failed one said', async () => {
    const network = await Network.create(layout)
    try {
      expect(await network.member('one').run('ip', '-brief', 'address', 'show', 'eth0')).toContain(
        '10.9.0.2/24',
      )
      await expect(network.member('one').run('ip', 'link', 'show', 'nothing')).rejects.toThrow('nothing')
      expect(() => network.member('three')).toThrow('no namespace "three"')
    } finally {
      network.close()
    }
  })

  it('leave nothing behind when a layout is wrong', async () => {
    const members = { one: { bridge: 'lan', addresses: ['10.9.0.999/24'] } }
    await expect(Network.create({ ...layout, members })).rejects.toThrow('ip could not lay out')
    expect(standing(process.pid)).toEqual([])
  })

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('are removed on %s', async (signal) => {
    const { child, pid } = await holder()
    expect(standing(pid)).toHaveLength(3)
    child.kill(signal)
    expect(await once(child, 'exit')).toEqual([null, signal])
    expect(standing(pid)).toEqual([])
  })

  it('of a killed maker are removed by the next', async () => {
    const { child, pid } = await holder()
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(standing(pid)).toHaveLength(3)
    const network = await Network.create(layout)
    network.close()
    expect(standing(pid)).toEqual([])
  })
})
