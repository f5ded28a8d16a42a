import { plainDestination, plainService } from '../../src/planes/plain.ts'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { umlMissing } from '../../lab/uml/install.ts'
import { bootUml, type Uml } from '../../lab/uml/uml.ts'
import type { Destination, VirtualService } from '../../src/planes/plane.ts'
import type { actor } from './ipvsadm.actor.ts'

const missing = umlMissing()

const destination = (address: string, fields: Partial<Destination> = {}): Destination =>
  plainDestination(address, { id: address, port: 8080, weight: 100, maxWeight: 100, ...fields })

const service = (fields: Partial<VirtualService>): VirtualService =>
  plainService({ id: JSON.stringify(fields), scheduler: 'wrr', ...fields })

/** One service of each kind that people write. */
const mixed: readonly VirtualService[] = [
  service({ destinations: [destination('10.0.1.1', { weight: 4 }), destination('10.0.1.2', { weight: 0 })] }),
  service({
    port: 443,
    scheduler: 'sh',
    flags: 0x18,
    persistence: { timeout: 300, prefix: 24 },
    destinations: [destination('10.0.1.1', { port: 443, forwarding: 'dr' })],
  }),
  service({
    port: 8080,
    scheduler: 'wlc',
    destinations: [
      destination('10.0.1.3', { forwarding: 'tunnel', tunnel: { type: 'ipip', port: 0 } }),
      destination('10.0.1.4', { forwarding: 'tunnel', tunnel: { type: 'gue', port: 6080 } }),
      destination('10.0.1.5', { forwarding: 'tunnel', tunnel: { type: 'gre', port: 0 } }),
    ],
  }),
  service({
    protocol: 'udp',
    port: 53,
    scheduler: 'rr',
    flags: 0x04,
    destinations: [destination('10.0.1.1', { port: 53 })],
  }),
  service({ protocol: 'sctp', port: 9, scheduler: 'lc' }),
  service({
    port: 'any',
    persistence: { timeout: 60, prefix: 32 },
    destinations: [destination('10.0.1.1', { port: 0 })],
  }),
  service({
    family: 6,
    address: '2001:db8::1',
    scheduler: 'mh',
    flags: 0x10,
    persistence: { timeout: 60, prefix: 64 },
    destinations: [destination('2001:db8::a')],
  }),
  service({
    fwmark: 7,
    address: '',
    port: 0,
    scheduler: 'rr',
    destinations: [destination('10.0.1.1', { port: 80 })],
  }),
  service({
    fwmark: 8,
    address: '',
    port: 0,
    family: 6,
    scheduler: 'sed',
    destinations: [destination('2001:db8::a', { port: 0, forwarding: 'dr' })],
  }),
]

/** What `ipvsadm -Sn` says of them, line by line as an administrator would have written it; its order is the kernel's. */
const golden = `
-A -t 10.0.0.1:80 -s wrr
-a -t 10.0.0.1:80 -r 10.0.1.1:8080 -m -w 4
-a -t 10.0.0.1:80 -r 10.0.1.2:8080 -m -w 0
-A -t 10.0.0.1:443 -s sh -p 300 -M 255.255.255.0 -b sh-fallback,sh-port
-a -t 10.0.0.1:443 -r 10.0.1.1:443 -g -w 100
-A -t 10.0.0.1:8080 -s wlc
-a -t 10.0.0.1:8080 -r 10.0.1.3:8080 -i -w 100 --tun-type ipip
-a -t 10.0.0.1:8080 -r 10.0.1.4:8080 -i -w 100 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 10.0.0.1:8080 -r 10.0.1.5:8080 -i -w 100 --tun-type gre --tun-nocsum
-A -u 10.0.0.1:53 -s rr -o
-a -u 10.0.0.1:53 -r 10.0.1.1:53 -m -w 100
-A --sctp-service 10.0.0.1:9 -s lc
-A -t 10.0.0.1:0 -s wrr -p 60
-a -t 10.0.0.1:0 -r 10.0.1.1:0 -m -w 100
-A -t [2001:db8::1]:80 -s mh -p 60 -M 64 -b mh-port
-a -t [2001:db8::1]:80 -r [2001:db8::a]:8080 -m -w 100
-A -f 7 -s rr
-a -f 7 -r 10.0.1.1:80 -m -w 100
-A -f 8 -6 -s sed
-a -f 8 -6 -r [2001:db8::a]:0 -g -w 100
`

const sorted = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .sort()

describe.skipIf(missing !== null)('ipvsadm and Torb see one table', () => {
  let uml: Uml<typeof actor> | undefined
  const guest = (): Uml<typeof actor>['guest'] => {
    if (uml === undefined) throw new Error('the kernel did not come up')
    return uml.guest
  }
  beforeAll(async () => {
    uml = await bootUml<typeof actor>({
      actor: fileURLToPath(new URL('ipvsadm.actor.ts', import.meta.url)),
      modules: ['ip_vs'],
      autoload: true,
      limitMs: 200_000,
    })
  })
  afterAll(async () => await uml?.kill())

  it('a mixed set is listed as an administrator would have written it', async () => {
    expect(sorted(await guest().program(mixed))).toEqual(sorted(golden))
  })

  // TORB_SEED repeats a run.
  const seed = Number(process.env['TORB_SEED'] ?? Date.now() % 1e9)

  it(`500 random services programmed by Torb are what ipvsadm lists (seed ${seed})`, async () => {
    const { differences, lines } = await guest().torbToIpvsadm(seed, 500)
    expect(differences).toEqual([])
    expect(lines).toBeGreaterThan(1000)
  })

  it(`500 random services restored by ipvsadm are what Torb reads (seed ${seed})`, async () => {
    const { differences, services } = await guest().ipvsadmToTorb(seed, 500)
    expect(differences).toEqual([])
    expect(services).toBe(500)
  })
})

if (missing !== null) it('ipvsadm and Torb see one table', ({ skip }) => skip(missing))
