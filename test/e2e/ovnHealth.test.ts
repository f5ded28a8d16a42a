import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { ovnMissing, type OvnLab } from '../../lab/ovn/ovn.ts'
import { OvnPlane } from '../../src/planes/ovn/plane.ts'
import { memoryControl } from '../fixtures/memoryControl.ts'
import { MemoryStore } from '../fixtures/memoryStore.ts'
import { startDaemon, type RunningDaemon } from '../rig.ts'
import { address, places, TwoNetworks, type Name, type Row } from './ovnNetworks.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: health and drains of OVN's load balancers: ${missing}`)

const eager = { interval: '1s', timeout: '1s', fast_interval: '1s' }

interface BackendShown {
  readonly options: { readonly weight: number }
  readonly metrics: { readonly status: number; readonly health: number }
  readonly reason: string
  readonly statistics: { readonly active: number } | null
}

describe.skipIf(missing !== null)("health and drains of OVN's load balancers", () => {
  let network: TwoNetworks
  let lab: OvnLab
  let torb: RunningDaemon

  const options = (): readonly string[] => [
    '--plane=ovn',
    `--ovn-nb=${lab.nbAddress}`,
    `--ovn-sb=${lab.sbAddress}`,
  ]

  /** A service with two servers as its backends, named as these are. */
  async function serve(
    id: string,
    host: string,
    pulse: object,
    row: Row,
    options: object = {},
    names: readonly [Name, Name] = ['s1', 's2'],
    by = torb,
  ): Promise<void> {
    const attach = { switches: [places[names[0]][1]] }
    await by.must('PUT', `/service/${id}`, { host, port: 80, attach, ...options })
    for (const name of names) {
      const backend = { host: address(name, row, host.includes(':') ? 6 : 4), port: 80, pulse }
      await by.must('PUT', `/service/${id}/${name}`, backend)
    }
  }

  const backend = async (service: string, name: Name, by = torb): Promise<BackendShown> =>
    (await by.must('GET', `/service/${service}/${name}`)) as BackendShown

  /** What has been told of a service, up to an event of this type. */
  async function eventsOf(service: string, last: string): Promise<string> {
    const abort = new AbortController()
    const headers = { 'last-event-id': '0' }
    const { body } = await fetch(`${torb.url}/events?service=${service}`, { headers, signal: abort.signal })
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true })
      if (text.includes(`event: ${last}\n`)) break
    }
    abort.abort()
    return text
  }

  const statuses = (service: string, names: readonly Name[], by = torb): Promise<readonly number[]> =>
    Promise.all(names.map(async (name) => (await backend(service, name, by)).metrics.status))

  const balancers = async (): Promise<readonly string[]> =>
    (await lab.nbctl('--bare', '--columns=name', 'list', 'Load_Balancer'))
      .split('\n')
      .filter((name) => name !== '')

  const healthCheck = async (name: string): Promise<string> =>
    (await lab.nbctl('--bare', '--columns=health_check', 'find', 'Load_Balancer', `name=${name}`)).trim()

  beforeAll(async () => {
    network = await TwoNetworks.start()
    lab = network.lab
    torb = await startDaemon({
      args: [...options(), `--ovn-vswitchd=${lab.chassis[0]?.directory}`],
    })
  })
  afterAll(async () => {
    await torb?.[Symbol.asyncDispose]()
    network?.[Symbol.dispose]()
  })

  it.concurrent('a stopped server gets nothing, over TCP, IPv6 and UDP, is told, and comes back bit by bit', async ({
    expect,
  }) => {
    await serve('web', '192.168.9.1', { type: 'tcp', ...eager }, 0)
    await serve('six', 'fd09::1', { type: 'tcp', ...eager }, 0)
    await serve('dns', '192.168.9.1', { type: 'udp', ...eager }, 0, { protocol: 'udp' })
    const services = ['web', 'six', 'dns']
    const seen = async (): Promise<readonly unknown[]> =>
      Promise.all(services.map(async (id) => (await backend(id, 's2')).metrics))
    await expect.poll(seen, { timeout: 10_000 }).toMatchObject(services.map(() => ({ status: 0, health: 1 })))

    await network.close('s2', 0)
    await expect.poll(seen, { timeout: 10_000 }).toMatchObject(services.map(() => ({ status: 1 })))
    expect(await Promise.all(services.map(async (id) => (await backend(id, 's2')).reason))).toEqual([
      "Down: OVN's monitor on chassis hv2: offline (no answer or refused)",
      "Down: OVN's monitor on chassis hv2: offline (no answer or refused)",
      "Down: OVN's monitor on chassis hv2: offline (port unreachable)",
    ])
    await expect
      .poll(() => network.answering('c1', '192.168.9.1'), { timeout: 10_000 })
      .toEqual({ servers: ['s1 0'], failures: [] })
    await expect
      .poll(() => network.answering('c1', 'fd09::1'), { timeout: 10_000 })
      .toEqual({ servers: ['s1 0 by IPv6'], failures: [] })
    await expect
      .poll(() => network.answering('c1', '192.168.9.1', 'udp'), { timeout: 10_000 })
      .toEqual({ servers: ['s1 0'], failures: [] })
    const metrics = String(await torb.must('GET', '/metrics'))
    expect(metrics).toMatch(
      /^gorb_service_backend_status\{[^}]*service_name="web"[^}]*backend_name="s2"[^}]*\} 1$/m,
    )

    await network.listen('s2', 0)
    await expect.poll(seen, { timeout: 10_000 }).toMatchObject(services.map(() => ({ status: 0 })))
    for (const id of services) {
      const { options, reason } = await backend(id, 's2')
      expect([options.weight > 0 && options.weight < 100, reason]).toEqual([
        true,
        expect.stringMatching(/recover|way back|health/i),
      ])
    }
    await expect
      .poll(() => network.answering('c1', '192.168.9.1'), { timeout: 5000 })
      .toEqual({ servers: ['s1 0', 's2 0'], failures: [] })
    expect(await eventsOf('web', 'backend-up')).toContain('event: backend-down')
  })

  it.concurrent('where checks fail for all, fb-zero-to-one sends clients to all, until one is up', async ({
    expect,
  }) => {
    const pulse = { type: 'tcp', ...eager }
    await serve('fb', '192.168.9.2', pulse, 10, {
      fallback: 'fb-zero-to-one',
      ovn: { check_source: '10.0.0.99' },
    })
    await expect.poll(() => statuses('fb', ['s1', 's2']), { timeout: 10_000 }).toEqual([0, 0])
    // The servers answer clients, but not OVN.
    const deaf = (name: Name, verb: string): Promise<string> =>
      network.ports[name].namespace.run('ip', 'route', verb, 'blackhole', '10.0.0.99/32')
    await Promise.all([deaf('s1', 'add'), deaf('s2', 'add')])
    await expect.poll(() => statuses('fb', ['s1', 's2']), { timeout: 10_000 }).toEqual([1, 1])
    await expect
      .poll(() => network.answering('c1', '192.168.9.2'), { timeout: 5000 })
      .toEqual({ servers: ['s1 10', 's2 10'], failures: [] })
    expect((await backend('fb', 's1')).options.weight).toBe(1)
    expect(await healthCheck('fb')).toBe('')
    expect(await balancers()).toContain('fb (watched, no traffic)')

    await deaf('s1', 'del')
    await expect.poll(() => statuses('fb', ['s1', 's2']), { timeout: 10_000 }).toEqual([0, 1])
    await expect
      .poll(() => network.answering('c1', '192.168.9.2'), { timeout: 5000 })
      .toEqual({ servers: ['s1 10'], failures: [] })
    expect(await healthCheck('fb')).not.toBe('')
    expect(await balancers()).not.toContain('fb (watched, no traffic)')
  })

  it.concurrent('a monitor in error, and a port without a chassis, are told as what they are', async ({
    expect,
  }) => {
    await serve('odd', '192.168.9.3', { type: 'tcp', ...eager }, 20, {}, ['s1', 's5'])
    await expect.poll(() => statuses('odd', ['s1', 's5']), { timeout: 10_000 }).toEqual([0, 0])
    const reason = async (): Promise<string> => (await backend('odd', 's5')).reason
    const [, hv2] = lab.chassis
    // Else it would write at once what it sees itself.
    hv2?.controller.freeze()
    const [monitor = ''] = (
      await lab.sbctl(
        '--bare',
        '--columns=_uuid',
        'find',
        'Service_Monitor',
        'logical_port=s5',
        'protocol=tcp',
      )
    ).split('\n')
    await lab.sbctl('set', 'Service_Monitor', monitor, 'status=error')
    await expect.poll(reason, { timeout: 5000 }).toBe("Down: OVN's monitor on chassis hv2: error")
    hv2?.controller.thaw()
    await expect.poll(() => statuses('odd', ['s5']), { timeout: 10_000 }).toEqual([0])

    const [device = ''] = (
      (await hv2?.vsctl('--bare', '--columns=name', 'find', 'Interface', 'external_ids:iface-id=s5')) ?? ''
    ).split('\n')
    await hv2?.vsctl('remove', 'Interface', device, 'external_ids', 'iface-id')
    await expect.poll(reason, { timeout: 5000 }).toBe('Down: port s5 is not bound to a chassis')
    await expect
      .poll(() => network.answering('c1', '192.168.9.3'), { timeout: 10_000 })
      .toEqual({ servers: ['s1 20'], failures: [] })
    await hv2?.vsctl('set', 'Interface', device, 'external_ids:iface-id=s5')
    await expect.poll(() => statuses('odd', ['s5']), { timeout: 10_000 }).toEqual([0])
  })

  it.concurrent('a drain of a checked backend leaves open connections alone, and resets them on every chassis at its end', async ({
    expect,
  }) => {
    await serve('slow', '192.168.9.4', { type: 'tcp', ...eager }, 20)
    await expect.poll(() => statuses('slow', ['s1', 's2']), { timeout: 10_000 }).toEqual([0, 0])
    const [here, there] = [await network.hold('c1', '192.168.9.4'), await network.hold('c2', '192.168.9.4')]
    await torb.must('PATCH', '/service/slow/s2', { weight: 0 })
    await lab.sync()
    await expect
      .poll(() => network.answering('c1', '192.168.9.4'), { timeout: 10_000 })
      .toEqual({ servers: ['s1 20'], failures: [] })
    expect([await network.still('c1', here), await network.still('c2', there)]).toEqual(
      [here, there].map((held) => held.map((one) => one.backend)),
    )
    // Of hv1 alone, whose ovs-vswitchd Torb may ask.
    const open = here.filter((one) => one.backend.startsWith('s2')).length
    await expect
      .poll(async () => (await backend('slow', 's2')).statistics?.active, { timeout: 5000 })
      .toBe(open)
    expect((await backend('slow', 's2')).metrics.status).toBe(0)

    await torb.must('DELETE', '/service/slow/s2?drain=1s')
    expect(await network.still('c2', there)).toEqual(there.map((one) => one.backend))
    await expect
      .poll(async () => (await torb.api('GET', '/service/slow/s2')).status, { timeout: 5000 })
      .toBe(404)
    await expect.poll(() => network.still('c1', here), { timeout: 5000 }).toEqual(network.without(here, 's2'))
    await expect
      .poll(() => network.still('c2', there), { timeout: 5000 })
      .toEqual(network.without(there, 's2'))
    expect(await balancers()).not.toContain('slow (watched, no traffic)')
  })

  it.concurrent('of unchecked backends it does so by the chassis that Torb may ask', async ({ expect }) => {
    await serve('bare', '192.168.9.5', { type: 'none' }, 30)
    await lab.sync()
    const [here, there] = [await network.hold('c1', '192.168.9.5'), await network.hold('c2', '192.168.9.5')]
    await torb.must('DELETE', '/service/bare/s2?drain=1s')
    await expect.poll(() => network.still('c1', here), { timeout: 5000 }).toEqual(network.without(here, 's2'))
    expect(await network.still('c2', there)).toEqual(there.map((one) => one.backend))
  })

  it.concurrent('or by a row for a moment on a switch between routers, on all of them', async ({
    expect,
  }) => {
    await serve('brief', '192.168.9.6', { type: 'none' }, 0, {}, ['s3', 's4'])
    await lab.sync()
    const held = await network.hold('c3', '192.168.9.6')
    await torb.must('DELETE', '/service/brief/s4')
    await expect.poll(() => network.still('c3', held), { timeout: 5000 }).toEqual(network.without(held, 's4'))
    await expect.poll(balancers).not.toContain('brief (resets connections)')
  })

  it.concurrent('a service in the place of one that was just removed keeps its connections', async ({
    expect,
  }) => {
    for (const id of ['first', 'second', 'third']) {
      await serve(id, '192.168.9.10', { type: 'none' }, 10, {}, ['s3', 's4'])
      await torb.must('PATCH', `/service/${id}/s3?wait=applied`, { weight: 50 })
      const held = await network.hold('c3', '192.168.9.10')
      // A reset that was under way would be over.
      await lab.sync()
      await lab.sync()
      expect(await network.still('c3', held)).toEqual(held.map((one) => one.backend))
      await torb.must('DELETE', `/service/${id}`)
    }
    await expect.poll(async () => (await balancers()).join()).not.toMatch(/first|second|third/)
  })

  it.concurrent('while no Torb runs OVN leaves out what is down; the next one knows', async ({ expect }) => {
    const data = await mkdtemp(join(tmpdir(), 'torb-'))
    const start = (): Promise<RunningDaemon> =>
      startDaemon({ data, args: [...options(), '--ovn-owner=second'] })
    const first = await start()
    await serve('left', '192.168.9.8', { type: 'tcp', ...eager }, 10, {}, ['s3', 's4'], first)
    await expect.poll(() => statuses('left', ['s3', 's4'], first), { timeout: 10_000 }).toEqual([0, 0])
    await first.end('SIGKILL')
    await network.close('s4', 10)
    await expect
      .poll(() => network.answering('c3', '192.168.9.8'), { timeout: 10_000 })
      .toEqual({ servers: ['s3 10'], failures: [] })
    await using second = await start()
    await expect.poll(() => statuses('left', ['s3', 's4'], second), { timeout: 10_000 }).toEqual([0, 1])
    await network.listen('s4', 10)
    await expect.poll(() => statuses('left', ['s3', 's4'], second), { timeout: 10_000 }).toEqual([0, 0])
    await rm(data, { recursive: true })
  })

  it.concurrent('what OVN cannot check is refused with the cure', async ({ expect }) => {
    await serve('no', '192.168.9.7', { type: 'tcp', ...eager }, 30)
    const refused = async (service: string, body: object): Promise<string> => {
      const { status, body: said } = await torb.api('PUT', `/service/${service}/other`, { port: 80, ...body })
      return `${status} ${JSON.stringify(said)}`
    }
    expect(await refused('no', { host: '10.0.0.77', pulse: { type: 'tcp' } })).toContain(
      '400 {"error":"backend other: no logical switch port has the address 10.0.0.77',
    )
    expect(await refused('no', { host: '10.0.0.2', pulse: { type: 'udp' } })).toContain(
      'OVN checks a tcp service by tcp, not by udp',
    )
  })

  // Alone: it takes a hypervisor away from the others.
  it('the backends of a chassis that lost power get nothing until it is back', async ({ expect }) => {
    const plane = new OvnPlane({
      northbound: [lab.nbAddress],
      southbound: [lab.sbAddress],
      owner: 'third',
      liveness: { heartbeatMs: 300, silentMs: 1000 },
      log: { info: () => undefined, warn: () => undefined },
    })
    await using ended = new AsyncDisposableStack()
    const control = await memoryControl(new MemoryStore(), plane)
    ended.defer(() => control.close())
    const vip = '192.168.9.9'
    await control.createService('dead', { host: vip, port: 80, attach: { switches: ['near'] } }, 'rest')
    for (const name of ['s1', 's2'] as const) {
      const body = { host: address(name, 30), port: 80, pulse: { type: 'tcp', ...eager } }
      await control.createBackend('dead', name, body, 'rest')
    }
    const backend = () => control.backend('dead', 's2')
    await expect.poll(() => backend()?.metrics, { timeout: 10_000 }).toMatchObject({ status: 0, health: 1 })
    const [, hv2] = lab.chassis
    await Promise.all([hv2?.controller.kill(), hv2?.vswitchd.kill()])
    await expect
      .poll(() => backend()?.reason, { timeout: 10_000 })
      .toBe('Down: chassis hv2 is silent, so nobody checks port s2')
    await expect
      .poll(() => network.answering('c1', vip), { timeout: 10_000 })
      .toEqual({ servers: ['s1 30'], failures: [] })
    await hv2?.vswitchd.start()
    await hv2?.controller.start()
    await expect.poll(() => backend()?.metrics.status, { timeout: 10_000 }).toBe(0)
  })
})
