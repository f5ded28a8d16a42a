import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFileLimit } from '../../src/kernel/limits.ts'
import { startDaemon, type RunningDaemon } from '../rig.ts'

const run = promisify(execFile)
const shell = async (command: string): Promise<{ code: number; out: string }> =>
  run('sh', ['-c', command]).then(
    ({ stdout }) => ({ code: 0, out: stdout }),
    (error: { code: number; stdout: string }) => ({ code: error.code, out: error.stdout }),
  )

let daemon: RunningDaemon
beforeAll(async () => {
  daemon = await startDaemon()
})
afterAll(async () => daemon[Symbol.asyncDispose]())

describe('docs/api.md', () => {
  it('its commands work as they stand, in their order', async () => {
    const page = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8')
    const commands = [...page.matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block = '']) =>
      block.trim().split('\n'),
    )
    expect(commands.length).toBeGreaterThan(15)
    for (const command of commands) {
      const here = command.replace('http://localhost:4672', daemon.url.replace('127.0.0.1', 'localhost'))
      const { code, out } = await shell(here.replace('curl ', "curl -s -S -4 -w '\\n%{http_code}' "))
      expect(out.endsWith('\n200'), `${command}\n${out}`).toBe(true)
      // A stream has no end of its own: curl's time limit ends it.
      expect(code, command).toBe(command.includes('--max-time') ? 28 : 0)
      if (command.includes('/events')) expect(out).toContain('event: backend-created')
    }
    expect((await daemon.api('GET', '/service')).body).toEqual([])
  })
})

describe('access', () => {
  it('no backend may be the API itself', async () => {
    const { port } = new URL(daemon.url)
    await daemon.api('PUT', '/service/self', { host: '127.0.0.1', port: 14_445 })
    for (const host of ['127.0.0.1', '::ffff:127.0.0.1', '0.0.0.0', 'localhost']) {
      const { status, body } = await daemon.api('PUT', '/service/self/0', { host, port: Number(port) })
      expect([status, JSON.stringify(body)], host).toEqual([400, expect.stringContaining(port)])
    }
    await daemon.api('DELETE', '/service/self')
  })

  it('the token file is private, its token passes, and 401 says where it is', async () => {
    const refused = await shell(`curl -s -H 'Via: x' ${daemon.url}/service`)
    expect(refused.out).toContain(`${daemon.data}/token`)
    const token = (await readFile(`${daemon.data}/token`, 'utf8')).trim()
    const status = (header: string) =>
      shell(
        `curl -s -o /dev/null -w '%{http_code}' -H 'Via: x' -H 'Authorization: Bearer ${header}' ${daemon.url}/service`,
      )
    expect((await status(token)).out).toBe('200')
    expect((await status(`${token}x`)).out).toBe('401')
  })

  const asRoot = process.getuid?.() === 0
  if (!asRoot) console.warn('skipped: another user and same-user, as only root can become another user')
  it.skipIf(!asRoot)('same-user keeps another user of this machine out', async () => {
    await using strict = await startDaemon({ args: ['--local-trust', 'same-user'] })
    const curl = `curl -s -o /dev/null -w '%{http_code}' ${strict.url}/service`
    expect((await shell(curl)).out).toBe('200')
    expect((await shell(`setpriv --reuid=65534 --regid=65534 --clear-groups ${curl}`)).out).toBe('401')
  })
})

describe('under load', () => {
  const idle = 10_000
  const reason =
    openFileLimit() < 2 * idle ? `the limit of open files is ${openFileLimit()}, below ${2 * idle}` : ''
  if (reason !== '') console.warn(`skipped: ${idle} idle connections, as ${reason}`)
  it.skipIf(reason !== '')('10,000 idle connections stay open and others are answered', async () => {
    const clients = spawn(
      process.execPath,
      [new URL('idleClients.ts', import.meta.url).pathname, new URL(daemon.url).port, String(idle)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    try {
      const lines = createInterface({ input: clients.stdout })
      expect(await once(lines, 'line')).toEqual([`open ${idle}`])
      expect((await daemon.api('PUT', '/service/load', { host: '127.0.0.1', port: 14_446 })).status).toBe(200)
      expect((await daemon.api('GET', '/service/load')).status).toBe(200)
      expect((await daemon.api('DELETE', '/service/load')).status).toBe(200)
      clients.kill('SIGUSR2')
      expect(await once(lines, 'line')).toEqual([`open ${idle}`])
    } finally {
      clients.kill('SIGKILL')
      await once(clients, 'exit')
    }
  })

  it('slow writers hold up nobody', async () => {
    const port = Number(new URL(daemon.url).port)
    const slow = Array.from({ length: 200 }, (_, i) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      const head =
        'PUT /service/slow HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n'
      socket.write(i % 2 === 0 ? head : `${head}\r\n{"port":`)
      return socket
    })
    await Promise.all(slow.map((socket) => once(socket, 'connect')))
    expect((await daemon.api('GET', '/service')).status).toBe(200)
    for (const socket of slow) socket.destroy()
    expect((await daemon.api('GET', '/service/slow')).status).toBe(404)
  })
})
