import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { umlMissing } from '../../lab/uml/install.ts'
import { IpvsGuest } from './ipvsGuest.ts'

const missing = umlMissing()
if (missing !== null) console.log(`skipped: the hands-on on the kernel's IPVS: ${missing}`)
const bin = fileURLToPath(new URL('../../bin/torb', import.meta.url))

/** What the reader of the hands-on finds on the machine, and puts in for $IP_ADDR and $IP_PORT. */
const address = '10.0.2.15'
const lines = (text: string): string => text.replaceAll(/\$IP_(ADDR|PORT)/g, address)

const createService = lines(`
   curl -i -X PUT \\
        -H "Content-Type: application/json" \\
        -d '{"host":"$IP_ADDR", "port":4444, "protocol":"tcp", "method":"rr", "persistent": true}'  \\
        http://$IP_ADDR:4672/service/0 `)
const registerServer1 = lines(`
   curl -i -X PUT \\
        -H "Content-Type: application/json" \\
        -d '{"host":"172.17.0.2", "port":4444, "method":"nat", "weight":100 }' \\
        http://localhost:4672/service/0/0`)
const registerServer2 = registerServer1
  .replace('172.17.0.2', '172.17.0.3')
  .replace('service/0/0', 'service/0/1')
const request = lines('curl http://$IP_PORT:4444/doWork')

describe.skipIf(missing !== null)("the hands-on on the kernel's IPVS", () => {
  let guest: IpvsGuest

  beforeAll(async () => {
    guest = await IpvsGuest.boot({
      bridges: { docker0: ['172.17.0.1/16'], enp0s3: [`${address}/24`] },
      local: [],
      members: {
        server1: { bridge: 'docker0', addresses: ['172.17.0.2/16'], gateways: ['172.17.0.1'] },
        server2: { bridge: 'docker0', addresses: ['172.17.0.3/16'], gateways: ['172.17.0.1'] },
        outside: { bridge: 'enp0s3', addresses: ['10.0.2.2/24'] },
      },
    })
    await guest.torb('server1', 'server1', 'server --work 50ms')
    await guest.torb('server2', 'server2', 'server --work 50ms')
    await guest.torb('torb', 'director', 'serve -f -i enp0s3 --data /run/tmp/torb')
  })
  afterAll(() => guest?.close())

  /** Requests that each server says it has answered. */
  const answered = async (): Promise<number[]> => {
    const consoles = await Promise.all(['server1', 'server2'].map((name) => guest.printed(name)))
    return consoles.map((text) => text.match(/: answered/g)?.length ?? 0)
  }

  it('takes the plane of the kernel by itself', async () => {
    expect(await guest.printed('torb')).toMatch(/^torb ready http:\S+:4672 plane=ipvs$/m)
  })

  it('registers the service and its servers by the lines of part 2', async () => {
    for (const line of [createService, registerServer1, registerServer2]) {
      const answer = await guest.sh('director', line)
      expect({ line, answer }).toEqual({ line, answer: expect.stringMatching(/^HTTP\/1.1 200 OK\r\n/) })
      expect(answer).toMatch(/\r\n\r\n$/)
    }
    const service: unknown = JSON.parse(
      await guest.sh('director', lines('curl -s http://$IP_ADDR:4672/service/0')),
    )
    expect(service).toMatchObject({
      options: { host: address, port: 4444, protocol: 'tcp', method: 'rr', persistent: true },
      backends: ['0', '1'],
    })
    const backend: unknown = JSON.parse(
      await guest.sh('director', 'curl -s http://localhost:4672/service/0/1'),
    )
    expect(backend).toMatchObject({
      options: { host: '172.17.0.3', port: 4444, method: 'nat', weight: 100 },
    })
    const kernel = await guest.sh('director', 'ipvsadm -Sn')
    expect(kernel.trim().split('\n').toSorted()).toEqual([
      '-A -t 10.0.2.15:4444 -s rr',
      '-a -t 10.0.2.15:4444 -r 172.17.0.2:4444 -m -w 100',
      '-a -t 10.0.2.15:4444 -r 172.17.0.3:4444 -m -w 100',
    ])
  })

  it.each(['director', 'outside'])('shares a dozen requests six to six (%s)', async (role) => {
    const before = await answered()
    const output = await guest.sh(role, `for n in $(seq 12); do ${request}; done`)
    expect(output).toBe('Response sent after 50 ms\n'.repeat(12))
    await expect.poll(answered).toEqual(before.map((count) => count + 6))
  })

  it('answers the client, on the machine itself and outside', async () => {
    const [before1 = 0, before2 = 0] = await answered()
    const reports = await Promise.all(
      ['director', 'outside'].map((role) =>
        guest.sh(role, lines(`${bin} client $IP_ADDR --pattern steps --seconds 2`)),
      ),
    )
    const counts = reports.map((report) => /^0 of (\d+) requests got no response$/m.exec(report)?.[1])
    expect({ reports, counts }).toEqual({ reports, counts: [expect.any(String), expect.any(String)] })
    const sent = counts.reduce((sum, count) => sum + Number(count), 0)
    expect(sent).toBeGreaterThan(2)
    const [after1 = 0, after2 = 0] = await answered()
    expect([after1 - before1, after2 - before2].toSorted()).toEqual([
      Math.floor(sent / 2),
      Math.ceil(sent / 2),
    ])
  })
})
