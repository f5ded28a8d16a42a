import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Report, Traffic } from '../../lab/client.ts'
import type { Answer } from '../rig.ts'
import { umlMissing } from '../../lab/uml/install.ts'
import type { IpvsGuest } from './ipvsGuest.ts'
import {
  backendAddress,
  backendPort,
  backends,
  clientAddress6,
  clientAddresses,
  guePort,
  routedGuest,
} from './ipvsRouted.ts'

const missing = umlMissing()
if (missing !== null) console.log(`skipped: real packets by the kernel's IPVS: ${missing}`)
/** The kernel folds its counters every two seconds, and sends what is to be synchronised after two. */
const folded = { timeout: 15_000 }

describe.skipIf(missing !== null)("real packets by the kernel's IPVS", () => {
  let guest: IpvsGuest

  beforeAll(async () => {
    guest = await routedGuest()
    await guest.torb(
      'torb',
      'director',
      'serve --plane ipvs -i front --data /run/tmp/torb --tcp-timeout 1000 --tcpfin-timeout 100 --udp-timeout 200 --sync-master front --sync-id 7',
    )
  })
  afterAll(() => guest?.close())
  afterEach(async () => {
    const { body } = await api('GET', '/service')
    for (const id of body as string[]) await api('DELETE', `/service/${id}`)
    expect(await ipvsadm('-Sn')).toBe('')
  })

  const api = (method: string, path: string, body?: unknown): Promise<Answer> =>
    guest.api('director', method, path, body)

  async function put(path: string, body: unknown): Promise<void> {
    expect(await api('PUT', path, body)).toEqual({ status: 200, body: '' })
  }

  /** A service over all three backends, without checks. */
  async function serve(
    id: string,
    service: object,
    backend: { readonly [key: string]: unknown; readonly family?: 4 | 6 } = {},
    weights: readonly number[] = [1, 1, 1],
  ): Promise<void> {
    await put(`/service/${id}`, service)
    const { family = 4, ...rest } = backend
    for (const [n, name] of backends.entries()) {
      const host = backendAddress(name, family)
      const weight = weights[n] ?? 1
      await put(`/service/${id}/${name}`, {
        host,
        port: backendPort,
        weight,
        pulse: { type: 'none' },
        ...rest,
      })
    }
  }

  const ipvsadm = (line: string, role = 'director'): Promise<string> => guest.sh(role, `ipvsadm ${line}`)

  /** The kernel's lines of one service, sorted: the newest backend is first in its list. */
  const programmed = async (): Promise<string[]> => (await ipvsadm('-Sn')).trim().split('\n').toSorted()

  const traffic = (address: string, count: number, more: Partial<Traffic> = {}): Traffic => ({
    protocol: 'tcp',
    from: clientAddresses,
    to: { address, port: 80 },
    count,
    ...more,
  })

  async function exchange(...of: Parameters<typeof traffic>): Promise<Report['answers']> {
    const { answers, failures } = await guest.member('client').exchange(traffic(...of))
    expect(failures).toEqual([])
    return answers
  }

  const statistics = async (id: string): Promise<object> =>
    ((await api('GET', `/service/${id}`)).body as { readonly statistics: object }).statistics

  const shares = (answers: readonly { readonly backend: string }[]): Record<string, number> => {
    const counts: Record<string, number> = {}
    for (const { backend } of answers) counts[backend] = (counts[backend] ?? 0) + 1
    return counts
  }

  describe('by nat', () => {
    it('rr gives each the same', async () => {
      await serve('web', { host: '10.3.0.1', port: 80, method: 'rr' })
      const answers = await exchange('10.3.0.1', 30)
      expect(shares(answers)).toEqual({ b1: 10, b2: 10, b3: 10 })
      expect(new Set(answers.map(({ client }) => client))).toEqual(new Set(clientAddresses))
    })

    it('wrr gives by weight', async () => {
      await serve('web', { host: '10.3.0.1', port: 80, method: 'wrr' }, {}, [3, 1, 0])
      expect(shares(await exchange('10.3.0.1', 40))).toEqual({ b1: 30, b2: 10 })
    })

    it('lc gives to whom has the fewest connections', async () => {
      await serve('web', { host: '10.3.0.1', port: 80, method: 'lc' })
      const client = guest.member('client')
      const first = await client.hold(traffic('10.3.0.1', 9))
      expect(shares(first.held)).toEqual({ b1: 3, b2: 3, b3: 3 })
      const gone = first.held.filter(({ backend }) => backend === 'b2').map(({ id }) => id)
      await client.release(gone)
      // Closed connections count 1/256 of an open one.
      expect(shares((await client.hold(traffic('10.3.0.1', 3))).held)).toEqual({ b2: 3 })
      await client.releaseAll()
    })

    it('a backend deleted with ?drain finishes its connections, gets no new one, and then goes', async () => {
      await serve('web', { host: '10.3.0.1', port: 80, method: 'rr' })
      const client = guest.member('client')
      const { held } = await client.hold(traffic('10.3.0.1', 6))
      expect((await api('DELETE', '/service/web/b2?drain=60s')).status).toBe(200)
      expect(shares(await exchange('10.3.0.1', 12))).toEqual({ b1: 6, b3: 6 })
      const mine = held.filter(({ backend }) => backend === 'b2').map(({ id }) => id)
      expect(await client.answering(mine)).toEqual(['b2', 'b2'])
      expect((await ipvsadm('-Sn')).includes('-r 10.2.1.2:9000 -m -w 0')).toBe(true)
      await client.release(mine)
      const listed = async (): Promise<unknown> =>
        ((await api('GET', '/service/web')).body as { backends: unknown }).backends
      await expect.poll(listed, { timeout: 30_000, interval: 250 }).toEqual(['b1', 'b3'])
      expect((await ipvsadm('-Sn')).includes('10.2.1.2')).toBe(false)
      expect(await guest.printed('torb')).toMatch(/"backend":"b2","active":0,"msg":"drain-ended"/)
      await client.releaseAll()
    })

    it.each(['sh', 'mh'])('%s keeps each client where it is', async (method) => {
      await serve('web', { host: '10.3.0.1', port: 80, method })
      const answers = await exchange('10.3.0.1', 3 * clientAddresses.length)
      const seen = Map.groupBy(answers, ({ client }) => client)
      expect(seen.size).toBe(clientAddresses.length)
      for (const [client, its] of seen)
        expect({ client, backends: new Set(its.map(({ backend }) => backend)).size }).toEqual({
          client,
          backends: 1,
        })
      expect(Object.keys(shares(answers)).toSorted()).toEqual(['b1', 'b2', 'b3'])
    })

    it('persistence pins a client, and only with persistence', async () => {
      const [from = ''] = clientAddresses
      await serve('web', { host: '10.3.0.1', port: 80, method: 'rr', persistence: { timeout: 60 } })
      expect(Object.values(shares(await exchange('10.3.0.1', 9, { from: [from] })))).toEqual([9])
      // Sixteen clients of one network, which count as one.
      await serve('net', {
        host: '10.3.0.2',
        port: 80,
        method: 'rr',
        persistence: { timeout: 60, netmask: 24 },
      })
      expect(Object.values(shares(await exchange('10.3.0.2', 16)))).toEqual([16])
      await serve('none', { host: '10.3.0.3', port: 80, method: 'rr', persistent: true })
      expect(Object.values(shares(await exchange('10.3.0.3', 9, { from: [from] })))).toEqual([3, 3, 3])
    })

    it('IPv6', async () => {
      await serve('web', { host: 'fd00:3::1', port: 80, method: 'rr' }, { family: 6 })
      const answers = await exchange('fd00:3::1', 9, { from: [clientAddress6] })
      expect(shares(answers)).toEqual({ 'b1-6': 3, 'b2-6': 3, 'b3-6': 3 })
      expect(answers[0]?.client).toBe(clientAddress6)
    })

    it('UDP', async () => {
      await serve('dns', { host: '10.3.0.1', port: 80, protocol: 'udp', method: 'rr' })
      const answers = await exchange('10.3.0.1', 9, { protocol: 'udp' })
      expect(shares(answers)).toEqual({ b1: 3, b2: 3, b3: 3 })
      expect(answers[0]?.from).toMatchObject({ address: '10.3.0.1', port: 80 })
    })

    it('SCTP', async () => {
      await Promise.all(
        backends.map((name) =>
          guest.member(name).serveSctp(name, { address: backendAddress(name), port: backendPort }),
        ),
      )
      await serve('signalling', { host: '10.3.0.1', port: 80, protocol: 'sctp', method: 'rr' })
      const names: string[] = []
      for (const from of clientAddresses.slice(0, 6))
        names.push(await guest.member('client').askSctp(from, { address: '10.3.0.1', port: 80 }))
      expect(names.toSorted()).toEqual(['b1', 'b1', 'b2', 'b2', 'b3', 'b3'])
    })
  })

  it.each([
    [{ method: 'dr' }, '-g -w 1'],
    [{ method: 'tunnel' }, '-i -w 1 --tun-type ipip'],
    [{ method: 'tunnel', tunnel: { type: 'ipip' } }, '-i -w 1 --tun-type ipip'],
    [
      { method: 'tunnel', tunnel: { type: 'gue', port: guePort } },
      `-i -w 1 --tun-type gue --tun-port ${guePort} --tun-nocsum`,
    ],
    [{ method: 'tunnel', tunnel: { type: 'gre' } }, '-i -w 1 --tun-type gre --tun-nocsum'],
  ])('%j: backends answer the client past the director', async (backend, kernel) => {
    await serve('web', { host: '10.3.9.1', port: backendPort, method: 'rr' }, backend)
    expect(await programmed()).toEqual([
      `-A -t 10.3.9.1:${backendPort} -s rr`,
      ...backends.map(
        (name) => `-a -t 10.3.9.1:${backendPort} -r ${backendAddress(name)}:${backendPort} ${kernel}`,
      ),
    ])
    const answers = await exchange('10.3.9.1', 9, { to: { address: '10.3.9.1', port: backendPort } })
    expect(shares(answers)).toEqual({ b1: 3, b2: 3, b3: 3 })
    expect(answers[0]?.client).toBe(clientAddresses[0])
    await expect.poll(() => statistics('web'), folded).toMatchObject({ connections: 9, packets_out: 0 })
  })

  it('a firewall mark makes one service of several addresses and ports', async () => {
    await guest.sh(
      'director',
      `tc qdisc add dev front ingress
       tc filter add dev front parent ffff: protocol ip u32 match ip dst 10.3.7.0/24 action skbedit mark 7`,
    )
    await serve('all', { fwmark: 7, method: 'rr' })
    const answers = [
      ...(await exchange('10.3.7.1', 4)),
      ...(await exchange('10.3.7.2', 5, { to: { address: '10.3.7.2', port: 443 } })),
    ]
    expect(shares(answers)).toEqual({ b1: 3, b2: 3, b3: 3 })
  })

  it('the time-outs of the flags are those of the kernel', async () => {
    expect(await ipvsadm('-l --timeout')).toBe('Timeout (tcp tcpfin udp): 1000 100 200\n')
  })

  it('counters are set to zero, in the kernel too', async () => {
    await serve('web', { host: '10.3.0.1', port: 80, method: 'rr' })
    await exchange('10.3.0.1', 6)
    await expect.poll(() => statistics('web'), folded).toMatchObject({ connections: 6 })
    expect((await api('POST', '/counters/zero/web')).status).toBe(200)
    expect(await statistics('web')).toMatchObject({ connections: 0, packets_in: 0, bytes_out: 0 })
    expect(await ipvsadm('-ln --stats -t 10.3.0.1:80')).toMatch(/^TCP +10.3.0.1:80( +0){5}$/m)
  })

  it('a backup learns the connections of the master', async () => {
    await guest.torb(
      'backup',
      'backup',
      'serve --plane ipvs -i eth0 --data /run/tmp/backup --sync-backup eth0 --sync-id 7',
    )
    expect(await ipvsadm('-l --daemon')).toMatch(/^master sync daemon \(mcast=front, syncid=7,/)
    expect(await ipvsadm('-l --daemon', 'backup')).toMatch(/^backup sync daemon \(mcast=eth0, syncid=7,/)
    await serve('web', { host: '10.3.0.1', port: 80, method: 'rr' })
    const client = guest.member('client')
    const { held } = await client.hold(traffic('10.3.0.1', 6))
    const expected = held.map(
      ({ client: from, clientPort, backend }) =>
        `TCP ESTABLISHED ${from}:${clientPort} 10.3.0.1:80 ${backendAddress(backend)}:${backendPort}`,
    )
    const learned = async (): Promise<string[]> =>
      (await ipvsadm('-lnc', 'backup'))
        .split('\n')
        .filter((line) => line.includes('ESTABLISHED'))
        .map((line) =>
          line
            .replace(/^(TCP) +[0-9:]+/, '$1')
            .replaceAll(/ +/g, ' ')
            .trim(),
        )
        .toSorted()
    await expect.poll(learned, folded).toEqual(expected.toSorted())
    await client.releaseAll()
    await guest.end('backup')
  })

  it('a UDP client of a backend that is deleted is answered by another at once', async () => {
    await serve('dns', { host: '10.3.0.1', port: 80, protocol: 'udp', method: 'rr' })
    const client = guest.member('client')
    const { held } = await client.hold(traffic('10.3.0.1', 1, { protocol: 'udp' }))
    const [{ id, backend } = { id: 0, backend: '' }] = held
    // As long as it is there, it keeps the client.
    expect(await client.answering([id])).toEqual([backend])
    expect((await api('DELETE', `/service/dns/${backend}`)).status).toBe(200)
    const [other] = await client.answering([id])
    expect(backends.filter((name) => name !== backend)).toContain(other)
    expect(await client.answering([id])).toEqual([other])
    await client.releaseAll()
  })

  it('what Torb reads back is what it wrote: the audit has found no drift', async () => {
    expect(await guest.printed('torb')).not.toContain('plane-drift')
  })
})
