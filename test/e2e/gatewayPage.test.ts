import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempDisposableSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { parseFunction } from '../../src/model/function.ts'
import { until } from '../../lab/until.ts'
import { request } from '../rig.ts'
import { freePort } from '../../src/planes/freePort.ts'

const page = readFileSync(new URL('../../docs/gateway.md', import.meta.url), 'utf8')
const root = fileURLToPath(new URL('../..', import.meta.url))

/** A line of the page in a shell; its programs are one group, so that all of them can be ended. */
function shell(line: string) {
  const child = spawn('sh', ['-c', line], { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  return {
    output: text(child.stdout),
    exited: exited.then(([code]) => code as number | null),
    end: async () => {
      if (child.exitCode === null) process.kill(-(child.pid ?? 0), 'SIGTERM')
      await exited
    },
  }
}

it('the five minutes of docs/gateway.md go as they are written', async () => {
  using data = mkdtempDisposableSync(join(tmpdir(), 'torb-page-'))
  const [api, gateway, instance] = await Promise.all([freePort(), freePort(), freePort()])
  const lines = [...page.matchAll(/^```sh\n(.*?)^```/gms)]
    .flatMap(([, block = '']) => block.trim().split('\n'))
    .map((line) =>
      line
        .replaceAll('9001', String(instance))
        .replaceAll('4672', String(api))
        .replaceAll('8080', String(gateway))
        .replace('/tmp/torb', data.path)
        .replace('bin/torb gateway', `bin/torb gateway -l 127.0.0.1:${api} --gateway 127.0.0.1:${gateway}`)
        .replace('bin/torb functions', `bin/torb functions --api http://127.0.0.1:${api}`),
    )
  const [programs, commands] = [
    lines.filter((line) => line.endsWith('&')),
    lines.filter((line) => !line.endsWith('&')),
  ]
  expect([programs.length, commands.length]).toEqual([3, 6])
  await using running = new AsyncDisposableStack()
  for (const line of programs) {
    const program = shell(line.replace(/ &$/, ''))
    running.defer(program.end)
  }
  for (const place of [`127.0.0.1:${api}/healthz`, `127.0.0.2:${instance}`, `127.0.0.3:${instance}`])
    await until(async () => (await shell(`curl -s -o /dev/null http://${place}`).exited) === 0)
  const outputs: string[] = []
  for (const line of commands) {
    const command = shell(line)
    expect(await command.exited, line).toBe(0)
    outputs.push(await command.output)
  }
  expect(outputs[2]).toBe('one\none\none\ntwo\n')
  expect(outputs[3]).toMatch(new RegExp(`127\\.0\\.0\\.2:${instance} +- +3 +0 +3 +0 `))
  expect((await request(`http://127.0.0.1:${api}/functions`)).body).toMatchObject({ functions: [] })
})

it('its value is one', () => {
  const [, value = ''] = /^```json\n(.*?)^```/ms.exec(page) ?? []
  expect(parseFunction(value).ips).toHaveLength(3)
})
