import { once } from 'node:events'
import { existsSync, mkdtempDisposableSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { request as send } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Etcd, etcdMissing } from '../../lab/etcd.ts'
import { commands } from '../../src/cli/index.ts'
import { named, startInstance } from '../../src/gateway/gatewaySuite.ts'
import { keyOf, valueOf } from '../etcdRig.ts'
import { until } from '../../lab/until.ts'
import { request, runTorb, startDaemon, type Running } from '../rig.ts'
import { freePort } from '../../src/planes/freePort.ts'
import { runCommand } from '../fixtures/commandLine.ts'

/** `torb gateway` on free ports, with no variable of the edgerun balancer but those given. */
async function startGateway(
  data: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly running: Running; readonly api: string; readonly url: string } & AsyncDisposable> {
  const port = await freePort()
  const running = await runTorb(['gateway', '-l', '127.0.0.1:0', '--data', data, ...args], /^torb ready /, {
    eb_go_lb_listen_port: String(port),
    HOSTNAME: 'edge-1',
    ...env,
  })
  const api = /http:\S+/.exec(running.lines.at(-1) ?? '')?.[0] ?? ''
  const url = `http://127.0.0.1:${port}`
  return { running, api, url, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

const bodies = async (url: string, count: number): Promise<string> => {
  let all = ''
  for (let i = 0; i < count; i++) all += String((await request(url)).body)
  return all
}

/** @returns exit code and standard output */
async function torb(...args: string[]): Promise<[code: number, out: string]> {
  const { code, out } = await runCommand(commands, ...args)
  return [code, out]
}

const directory = () => mkdtempDisposableSync(join(tmpdir(), 'torb-gateway-'))

describe('torb gateway', () => {
  const missing = etcdMissing()
  it.skipIf(missing !== null)(
    `goes by the environment of the edgerun balancer${missing === null ? '' : ` (skipped: ${missing})`}`,
    async () => {
      using place = directory()
      await using etcd = await Etcd.start()
      await using a = await named('A')
      await using b = await named('B')
      await using gateway = await startGateway(place.path, [], {
        eb_go_lb_zone: 'zone-b',
        eb_go_lb_etcd_host: etcd.urls.join(' '),
        eb_go_lb_handler_type: 'wrr',
      })
      const url = `${gateway.url}/function/resnet/label?size=1`
      expect(await request(url)).toEqual({
        status: 404,
        body: 'error selecting server: no servers found for function: resnet - in zone-b',
      })
      await etcd.putAll([
        [keyOf('resnet'), valueOf([a.text], [3])],
        [keyOf('wrong'), 'no JSON'],
      ])
      await until(async () => (await request(url)).status === 200)
      await etcd.putAll([[keyOf('resnet'), valueOf([a.text, b.text], [3, 1])]])
      await until(async () => String((await request(url)).body) === 'B')
      expect(await bodies(url, 400)).toBe('AAAB'.repeat(100))
      expect((await request(`${gateway.api}/functions/resnet`)).body).toMatchObject({
        name: 'resnet',
        zone: 'zone-b',
      })
      expect(await gateway.running.end()).toBe(0)
      // What etcd changes is logged once each.
      const logged = gateway.running.errors().split('\n')
      for (const [what, times] of [
        ['"function":"resnet"', 2],
        [keyOf('wrong'), 1],
        ['"source":"etcd","state":"current"', 1],
        ['etcd: ', 0],
      ] as const)
        expect(
          logged.filter((line) => line.includes(what)),
          what,
        ).toHaveLength(times)
    },
  )

  it('answers by itself until a function is known, and balances those of REST and the file over a restart', async () => {
    using place = directory()
    const [data, file] = [join(place.path, 'data'), join(place.path, 'torb.yaml')]
    await using a = await named('A')
    await using b = await named('B')
    writeFileSync(file, 'gateway_handler: dummy\n')
    const args = ['--zone', 'here', '--etcd', '', '--config', file]
    {
      await using gateway = await startGateway(data, args)
      const url = `${gateway.url}/function/mine`
      expect((await request(url)).body).toMatch(/^Dummy response, URL: \/function\/mine, Host: 127/)
      expect(gateway.running.errors()).toContain('dummy')
      const body = { ips: [a.text], weights: [1] }
      expect((await request(`${gateway.api}/functions/mine`, 'PUT', body)).status).toBe(200)
      expect(await bodies(url, 2)).toBe('AA')
      expect((await request(`${gateway.url}/function/other`)).status).toBe(404)
      expect(await torb('explain', '--api', gateway.api, '/function/mine/x?y=1')).toEqual([
        0,
        expect.stringMatching(new RegExp(`as REST has it[^]*→ function mine, ${a.text}, as /x\\?y=1\n$`)),
      ])
      expect(await torb('explain', '--api', gateway.api, '/function/other')).toEqual([
        1,
        expect.stringContaining('→ the gateway answers 404 by itself\n'),
      ])
      expect(await torb('doctor', '--api', gateway.api)).toEqual([
        expect.any(Number),
        expect.stringMatching(/gateway: listens on port \d+, .*[^]*functions: 1 function with 1 instance\n/),
      ])

      const other = `functions: { other: { ips: ['${b.text}'], weights: [1] } }\n`
      writeFileSync(file, other)
      gateway.running.process.kill('SIGHUP')
      await until(async () => (await request(`${gateway.url}/function/other`)).status === 200)
      writeFileSync(file, other.replace('[1]', '[1, 2]'))
      gateway.running.process.kill('SIGHUP')
      await until(() => gateway.running.errors().includes('config-refused'))
      expect(gateway.running.errors()).toMatch(/torb\.yaml:1:\d+: weights has 2 numbers for the 1 of ips/)
      expect(await bodies(`${gateway.url}/function/other`, 1)).toBe('B')
      writeFileSync(file, other)
    }
    await using again = await startGateway(data, args)
    expect(await bodies(`${again.url}/function/mine`, 1)).toBe('A')
    expect(await bodies(`${again.url}/function/other`, 1)).toBe('B')
  })

  it('keeps an access log that may be rotated, of http services too', async () => {
    using place = directory()
    const log = join(place.path, 'access.log')
    await using a = await named('A')
    await using gateway = await startGateway(place.path, ['--zone', 'z', '--etcd', '', '--access-log', log])
    await request(`${gateway.api}/functions/f`, 'PUT', { ips: [a.text], weights: [1] })
    await request(`${gateway.url}/function/f/x?y=1`)
    await until(() => readFileSync(log, 'utf8') !== '')
    expect(readFileSync(log, 'utf8')).toMatch(
      /^\d{4}-\d\d-\d\dT[\d:.]+Z 127\.0\.0\.1 GET \/function\/f\/x\?y=1 127\.0\.0\.1:\d+ 200 completed [\d.]+ 0 \d+\n$/,
    )
    const port = await freePort()
    await using b = await startInstance((request, response) =>
      response.end(request.headers['x-forwarded-for']),
    )
    const http = { trusted_proxies: ['127.0.0.0/8'] }
    const service = { host: '127.0.0.1', port, protocol: 'http', http }
    const backend = { host: '127.0.0.1', port: b.port }
    expect((await request(`${gateway.api}/service/shop`, 'PUT', service)).status).toBe(200)
    expect((await request(`${gateway.api}/service/shop/a`, 'PUT', backend)).status).toBe(200)
    renameSync(log, `${log}.1`)
    gateway.running.process.kill('SIGHUP')
    await until(() => existsSync(log))
    await request(`${gateway.url}/function/g`)
    await until(async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/cart`, {
        headers: { 'x-forwarded-for': '192.0.2.7' },
      })
      expect(await answer.text()).toBe('192.0.2.7, 127.0.0.1')
      return readFileSync(log, 'utf8').includes(' GET /cart shop/a 200 completed ')
    })
    // The last lines are written at the end.
    await gateway.running.end()
    expect(readFileSync(log, 'utf8')).toMatch(/ GET \/function\/g - 404 answered /)
  })

  it('lets a request that is under way end', async () => {
    using place = directory()
    let begun = 0
    await using a = await startInstance((request, response) => {
      begun++
      request.resume().once('end', () => response.end('A'))
    })
    await using gateway = await startGateway(place.path, ['--zone', 'z', '--etcd', ''])
    await request(`${gateway.api}/functions/f`, 'PUT', { ips: [a.text], weights: [1] })
    using elsewhere = directory()
    await expect(
      startGateway(elsewhere.path, ['--zone', 'z', '--etcd', '', '--gateway', new URL(gateway.url).host]),
    ).rejects.toThrow(/cannot listen on 127\.0\.0\.1:\d+: that port is in use already/)
    const upload = send(`${gateway.url}/function/f`, { method: 'POST', headers: { 'content-length': 4 } })
    const answered = once(upload, 'response')
    upload.write('ab')
    await until(() => begun > 0)
    const ended = gateway.running.end()
    await until(
      async () =>
        await request(`${gateway.url}/function/f`).then(
          () => false,
          () => true,
        ),
    )
    upload.end('cd')
    const [answer] = (await answered) as [{ readonly statusCode: number; resume(): void }]
    expect(answer.statusCode).toBe(200)
    answer.resume()
    expect(await ended).toBe(0)
  })

  it.each([
    [[], {}, /the zone of this gateway is not known: set eb_go_lb_zone, or give --zone NAME/],
    [['--zone', 'z'], { eb_go_lb_handler_type: 'x' }, /eb_go_lb_handler_type is "x"/],
    [['--zone', 'z', '--etcd', ''], { eb_go_lb_listen_port: '99999' }, /eb_go_lb_listen_port is "99999"/],
    [['--zone', 'z', '--etcd', '', '--gateway', 'here'], {}, /the gateway cannot listen on "here"/],
    [['--zone', 'z', '--etcd', '', '--hop-key-file', '/none'], {}, /the hop key \/none cannot be read/],
    [
      ['--zone', 'z', '--etcd', '', '--hop-key-file', '/etc/hostname'],
      {},
      /needs 32: make one with "openssl/,
    ],
    [
      ['--zone', 'z', '--etcd', '', '--access-log', '/none/log'],
      {},
      /the access log \/none\/log cannot be written \(ENOENT.*name another file with --access-log/,
    ],
    [['--zone', 'a/b', '--etcd', ''], {}, /--zone must have no slash/],
    [
      ['--zone', 'z', '--etcd', '', '--gateway-peer', 'http://10.0.9.1:8080'],
      {},
      /the gateway peer "http:\/\/10\.0\.9\.1:8080" is no host\[:port\]/,
    ],
    [
      ['--zone', 'z', '--etcd', '', '-l', '127.0.0.1:4672', '--gateway', ':4672'],
      {},
      /cannot listen on \S+:4672: Torb's own API listens on 127\.0\.0\.1:4672; give another port with --gateway/,
    ],
    [
      ['--zone', 'z', '--etcd', '', '--gateway', '192.0.2.1:0'],
      {},
      /cannot listen on 192\.0\.2\.1:0: this host does not have that address/,
    ],
  ])('%o %o is refused', async (args, env, message) => {
    using place = directory()
    await expect(startGateway(place.path, args, env)).rejects.toThrow(message)
  })

  it('is told of no unknown function by clients that come while it starts again', async () => {
    using data = directory()
    // Of an address of its own: a client that connects again and again from 127.0.0.1 is given the very port in the end.
    const place = `127.0.0.9:${await freePort()}`
    const url = `http://${place}/function/f`
    const args = ['--zone', 'z', '--etcd', '', '--gateway', place]
    await using a = await named('A')
    {
      await using gateway = await startGateway(data.path, args)
      await request(`${gateway.api}/functions/f`, 'PUT', { ips: [a.text], weights: [1] })
    }
    const starting = startGateway(data.path, args)
    const ready = starting.then(() => 'ready')
    const answers = new Set<string>()
    for (let last = ''; last !== 'ready'; answers.add(last))
      last = await Promise.race([
        ready,
        request(url, 'GET', undefined, false).then(
          ({ body }) => String(body),
          () => 'refused',
        ),
      ])
    await using again = await starting
    answers.delete('ready')
    answers.delete('refused')
    expect([...answers, (await request(url)).body]).toEqual(expect.arrayContaining(['A']))
    expect([...answers].filter((answer) => answer !== 'A')).toEqual([])
    expect(again.url).not.toBe('')
  })

  it('is a part of torb serve', async () => {
    const port = await freePort()
    await using a = await named('A')
    await using daemon = await startDaemon({ args: ['--gateway', `:${port}`, '--gateway-handler', 'wrr'] })
    await daemon.api('PUT', '/functions/f', { ips: [a.text], weights: [1] })
    expect(await bodies(`http://127.0.0.1:${port}/function/f`, 2)).toBe('AA')
    expect(await bodies(`http://[::1]:${port}/function/f`, 2)).toBe('AA')
  })

  it('takes an instance out whose pulse says that it is down, and says why', async () => {
    const port = await freePort()
    await using a = await named('A')
    const b = await named('B')
    await using daemon = await startDaemon({ args: ['--gateway', `127.0.0.1:${port}`] })
    const pulse = { type: 'tcp', interval: '1s' }
    await daemon.api('PUT', '/functions/f', { ips: [a.text, b.text], weights: [1, 1], pulse, ejection: null })
    expect(await bodies(`http://127.0.0.1:${port}/function/f`, 4)).toBe('ABAB')
    await b[Symbol.asyncDispose]()
    await until(() => daemon.errors().includes('instance-down'))
    expect(daemon.errors()).toMatch(/"instance":"127\.0\.0\.1:\d+","reason":"connection refused"/)
    expect(await bodies(`http://127.0.0.1:${port}/function/f`, 4)).toBe('AAAA')
  })
})
