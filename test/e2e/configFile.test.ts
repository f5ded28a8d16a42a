import { mkdtempDisposableSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startDaemon, type RunningDaemon } from '../rig.ts'
import { freePort } from '../../src/planes/freePort.ts'

const configuration = (port: number, backends: readonly string[], more = '') => `
verbose: true
services:
  web:
    host: 127.0.0.1
    port: ${port}
    method: rr
    backends:
${backends.map((name, i) => `      ${name}: { host: 127.0.9.${i + 1}, port: 9, weight: 10, pulse: { type: none } }`).join('\n')}
${more}`

async function hangUp(daemon: RunningDaemon, type: string, count: number): Promise<void> {
  daemon.process.kill('SIGHUP')
  await expect
    .poll(
      () =>
        daemon
          .errors()
          .split('\n')
          .filter((line) => line.includes(`"${type}"`)).length,
      { timeout: 10_000 },
    )
    .toBe(count)
}

describe('a configuration file', () => {
  it('owns its services: REST may override weights, a new file replaces them, a wrong one changes nothing', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-config-'))
    const file = join(place.path, 'torb.yaml')
    const data = join(place.path, 'data')
    const [port, other] = [await freePort(), await freePort()]
    writeFileSync(file, configuration(port, ['a', 'b']))
    {
      await using daemon = await startDaemon({ data, args: ['--config', file] })
      const get = async (path: string) => (await daemon.api('GET', path)).body
      expect(await get('/service/web')).toMatchObject({ owner: 'file', backends: ['a', 'b'] })
      expect(await daemon.api('DELETE', '/service/web')).toMatchObject({ status: 409 })
      expect(await daemon.api('PUT', '/service/web/c', { host: '127.0.9.9', port: 9 })).toMatchObject({
        status: 409,
      })
      expect(await daemon.api('PATCH', '/service/web/a', { weight: 0 })).toMatchObject({ status: 200 })
      expect(await get('/service/web/a')).toMatchObject({
        owner: 'file',
        overridden: true,
        options: { weight: 0, max_weight: 0 },
        reason: 'its weight is 0: it takes no new connections',
      })

      writeFileSync(file, configuration(port, ['a', 'b'], '    flags: [nonsense'))
      await hangUp(daemon, 'config-refused', 1)
      expect(daemon.errors()).toContain(`${file}:11:`)
      // Well-formed, but the place of a service of REST.
      await daemon.api('PUT', '/service/mine', { host: '127.0.0.1', port: other })
      writeFileSync(file, configuration(other, ['a']))
      await hangUp(daemon, 'config-refused', 2)
      expect(daemon.errors()).toContain(`service \\"mine\\" has tcp 127.0.0.1:${other} already`)
      // A function that would forward to Torb's own API.
      const own = new URL(daemon.url).host
      writeFileSync(file, configuration(port, ['a'], `functions: { f: { ips: ['${own}'], weights: [1] } }`))
      await hangUp(daemon, 'config-refused', 3)
      expect(daemon.errors()).toContain(`instance ${own} is Torb's own API`)
      expect(await get('/service/web')).toMatchObject({ backends: ['a', 'b'] })

      writeFileSync(file, configuration(port, ['b', 'c', 'a']))
      await hangUp(daemon, 'config-loaded', 2)
      expect(await get('/service/web')).toMatchObject({ backends: ['b', 'c', 'a'] })
      await daemon.end('SIGKILL')
    }
    {
      await using daemon = await startDaemon({ data, args: ['--config', file] })
      const get = async (path: string) => (await daemon.api('GET', path)).body
      expect(await get('/service/web')).toMatchObject({ backends: ['b', 'c', 'a'] })
      expect(await get('/service/web/a')).toMatchObject({ overridden: true, options: { weight: 0 } })
      expect(await daemon.api('PATCH', '/service/web/a', { weight: null })).toMatchObject({ status: 200 })
      expect(await get('/service/web/a')).toMatchObject({ overridden: false, options: { weight: 10 } })
    }
    // Without the file its services go; those of REST stay.
    await using daemon = await startDaemon({ data })
    expect(await daemon.api('GET', '/service')).toMatchObject({ body: ['mine'] })
  })

  it('with a mistake stops the start, with the line', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-config-'))
    const file = join(place.path, 'torb.yaml')
    writeFileSync(file, configuration(80, ['a']).replace('method: rr', 'method: best'))
    await expect(startDaemon({ args: ['--config', file] })).rejects.toThrow(`${file}:7:`)
  })
})
