import { Resolver } from 'node:dns/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, afterAll, describe, expect, it } from 'vitest'
import { Consul, consulMissing } from '../../lab/consul.ts'
import type { Announcer } from '../../src/announce/announcer.ts'
import { startConsul } from '../../src/announce/consul/consul.ts'
import type { OpenControl } from '../../src/control/open.ts'
import { memoryControl } from '../fixtures/memoryControl.ts'
import { MemoryStore } from '../fixtures/memoryStore.ts'
import { until } from '../../lab/until.ts'

const missing = consulMissing()

async function put(consul: Consul, path: string, body: object = {}): Promise<void> {
  const answer = await fetch(`${consul.url}/v1/agent/service/${path}`, {
    method: 'PUT',
    body: JSON.stringify(body),
  })
  expect(answer.status).toBe(200)
}

describe.skipIf(missing !== null)(`Consul${missing === null ? '' : ` (skipped: ${missing})`}`, () => {
  let consul: Consul
  let control: OpenControl
  let announcer: Announcer
  const log: string[] = []

  const announce = (instance = 'us'): Announcer =>
    startConsul(control, {
      url: consul.url,
      self: { address: '127.0.0.1', port: Number(new URL(consul.url).port) },
      instance,
      log: {
        info: (_fields, text) => void log.push(text),
        warn: (_fields, text) => void log.push(text),
      },
      now: Date.now,
      random: Math.random,
    })
  const inStep = (): Promise<number> => until(() => announcer.status().state === 'in step')
  const create = (id: string, host: string, port: number | 'any'): Promise<void> =>
    control.createService(
      id,
      { host, port, ...(port === 'any' ? { persistence: { timeout: 300 } } : {}) },
      'rest',
    )

  beforeAll(async () => {
    consul = await Consul.start()
    control = await memoryControl(new MemoryStore())
    announcer = announce()
  })
  afterAll(async () => {
    await announcer.close()
    await control.close()
    await consul[Symbol.asyncDispose]()
  })

  it('has every service by its id, and Torb itself with a check that passes', async () => {
    await create('nginx-80-tcp', '10.0.0.1', 80)
    await create('six', '2001:db8::1', 53)
    await create('a b/ü%', '10.0.0.3', 1)
    await control.createService('mark', { fwmark: 7 }, 'rest')
    await inStep()
    const self = `127.0.0.1:${new URL(consul.url).port}`
    expect(await consul.services()).toEqual({
      gorb: self,
      'nginx-80-tcp': '10.0.0.1:80',
      six: '2001:db8::1:53',
      'a b/ü%': '10.0.0.3:1',
    })
    await until(async () => {
      const checks = (await (await fetch(`${consul.url}/v1/agent/checks`)).json()) as Record<
        string,
        { Status: string }
      >
      return checks['service:gorb']?.Status === 'passing'
    })
  })

  it('answers in DNS with the VIP and the port of a service', async () => {
    const resolver = new Resolver()
    resolver.setServers([consul.dns])
    const [record] = await resolver.resolveSrv('nginx-80-tcp.service.consul')
    expect(record?.port).toBe(80)
    expect(await resolver.resolve4('nginx-80-tcp.service.consul')).toEqual(['10.0.0.1'])
    expect(await resolver.resolve4(record?.name ?? '')).toEqual(['10.0.0.1'])
    expect(await resolver.resolve6('six.service.consul')).toEqual(['2001:db8::1'])
  })

  it('loses a service that is deleted, and the entries of others stay', async () => {
    await put(consul, 'register', { Name: 'foreign', Address: '10.9.9.9', Port: 9 })
    await control.deleteService('a b/ü%', 'rest')
    await control.deleteService('mark', 'rest')
    await inStep()
    expect(Object.keys(await consul.services()).sort()).toEqual(['foreign', 'gorb', 'nginx-80-tcp', 'six'])
  })

  it('has again what somebody removed', async () => {
    await put(consul, 'deregister/six')
    await until(async () => 'six' in (await consul.services()))
  })

  it('gives an id to the one who registers it last, and says so', async () => {
    await put(consul, 'register', { Name: 'taken', Address: '10.9.9.9', Port: 9 })
    await create('taken', '10.0.0.4', 4)
    await inStep()
    expect((await consul.services())['taken']).toBe('10.0.0.4:4')
    await put(consul, 'register', { Name: 'taken', Address: '10.9.9.9', Port: 9 })
    await until(() => announcer.status().state === 'behind')
    expect(announcer.status()).toMatchObject({
      pending: 1,
      message: expect.stringContaining('"taken" was registered') as string,
    })
    await control.deleteService('taken', 'rest')
    await inStep()
    expect((await consul.services())['taken']).toBe('10.9.9.9:9')
    await put(consul, 'deregister/taken')
  })

  it('may be away during writes: they succeed, it is logged once, and all is right afterwards', async () => {
    await consul.stop()
    log.length = 0
    await create('meanwhile', '10.0.0.5', 5)
    await control.deleteService('six', 'rest')
    await until(() => announcer.status().state === 'unreachable')
    const { message, pending, url } = announcer.status()
    expect(message).toMatch(/^Consul at .* does not answer \(.*\): start its agent/)
    expect([pending, url]).toEqual([2, consul.url])
    // Several tries, one line.
    await sleep(2000)
    await create('later', '10.0.0.6', 6)
    expect(announcer.status().pending).toBe(3)
    // A development agent has forgotten everything.
    await consul.start()
    await inStep()
    expect(Object.keys(await consul.services()).sort()).toEqual([
      'gorb',
      'later',
      'meanwhile',
      'nginx-80-tcp',
    ])
    expect(log).toEqual([
      expect.stringContaining('tried again until it does') as string,
      'Consul answers again',
    ])
  })

  it('has no orphans after a crash: what is ours and no more wanted goes', async () => {
    await put(consul, 'register', { Name: 'orphan', Address: '10.0.0.8', Port: 8, Meta: { torb: 'us' } })
    await put(consul, 'register', { Name: 'theirs', Address: '10.0.0.8', Port: 8, Meta: { torb: 'them' } })
    // Nothing was taken back by the one before, as after SIGKILL.
    const second = announce()
    await until(() => second.status().state === 'in step')
    expect(Object.keys(await consul.services()).sort()).toEqual([
      'gorb',
      'later',
      'meanwhile',
      'nginx-80-tcp',
      'theirs',
    ])
    await second.close()
    expect(await consul.services()).toEqual({ theirs: '10.0.0.8:8' })
    // The first one lives and finds all of it gone.
    await until(async () => 'later' in (await consul.services()))
  })

  it('is left clean at the end', async () => {
    await inStep()
    await announcer.close()
    expect(await consul.services()).toEqual({ theirs: '10.0.0.8:8' })
  })
})

it.skipIf(missing !== null)(
  `an agent that keeps its state needs nothing registered anew${missing === null ? '' : ` (skipped: ${missing})`}`,
  async () => {
    await using consul = await Consul.start(true)
    const control = await memoryControl()
    const lines: string[] = []
    const announcer = startConsul(control, {
      url: consul.url,
      self: null,
      instance: 'us',
      log: { info: (fields) => void lines.push(JSON.stringify(fields)), warn: () => undefined },
      now: Date.now,
      random: Math.random,
    })
    await control.createService('kept', { host: '10.0.0.1', port: 80 }, 'rest')
    await until(() => announcer.status().state === 'in step')
    await consul.stop()
    await until(() => announcer.status().state === 'unreachable')
    await consul.start()
    await until(() => announcer.status().state === 'in step')
    expect(await consul.services()).toEqual({ kept: '10.0.0.1:80' })
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { url: consul.url, registered: 0, deregistered: 0 },
    ])
    await announcer.close()
    await control.close()
  },
)
