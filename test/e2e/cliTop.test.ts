import xterm from '@xterm/headless'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { Io } from '../../src/cli/command.ts'
import { commands } from '../../src/cli/index.ts'
import { openRest } from '../../src/cli/rest.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { startDaemon } from '../../src/daemon/daemon.ts'
import { until } from '../../lab/until.ts'

/** A terminal of 100 × 20 characters, with somebody at its keys. */
function terminal() {
  let listens = false
  const term = new xterm.Terminal({ cols: 100, rows: 20, allowProposedApi: true })
  let press: (key: string) => void = () => {}
  const io: Io = {
    out: (text) => term.write(text),
    err: (text) => term.write(text),
    env: {},
    tty: true,
    colour: true,
    columns: () => 100,
    rows: () => 20,
    keys: (onKey) => {
      press = onKey
      listens = true
      return () => {
        press = () => {}
        listens = false
      }
    },
    interrupt: () => ({
      signal: new AbortController().signal,
      received: new Promise(() => {}),
      end: () => {},
    }),
  }
  const page = (): string =>
    Array.from(
      { length: 20 },
      (_, row) => term.buffer.active.getLine(row)?.translateToString(true) ?? '',
    ).join('\n')
  const shows = async (pattern: RegExp): Promise<void> => {
    await until(() => pattern.test(page()), String(pattern))
  }
  return {
    io,
    page,
    shows,
    press: (key: string) => press(key),
    listens: () => listens,
    isAlternate: () => term.buffer.active.type === 'alternate',
  }
}

it('top shows what is there and what happens, takes keys, and gives the terminal back', async () => {
  const data = await mkdtemp(join(tmpdir(), 'torb-top-'))
  const daemon = await startDaemon({ listen: '127.0.0.1:0', data, plane: 'userspace' })
  const backend = createServer((socket) => socket.end())
  await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve))
  const { port } = backend.address() as AddressInfo
  const rest = openRest(daemon.url, null)
  const { io, shows, press, page, listens, isAlternate } = terminal()
  try {
    const code = runCommandLine(['top', '--api', daemon.url, '--interval', '10s'], commands, '0', io)
    await shows(/^torb top {2}http\S+ {2}0 services[^]*no services/)
    expect(isAlternate()).toBe(true)

    // Long before the interval is over: the events say that there is something to see.
    const free = createServer()
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve))
    const service = (free.address() as AddressInfo).port
    await new Promise((resolve) => free.close(resolve))
    await rest.request('PUT', '/service/web', { host: '127.0.0.1', port: service, method: 'rr' })
    await rest.request('PUT', '/service/web/a', { host: '127.0.0.1', port, pulse: { type: 'none' } })
    await shows(/^web +tcp 127\.0\.0\.1:\d+ +rr +userspace[^]*^ {2}a +127\.0\.0\.1:\d+ +Up +100/m)
    await shows(/backend-created service=web backend=a source=rest$/m)

    press('n')
    await shows(/^by name /m)
    const many = Array.from({ length: 25 }, (_, i) => `/functions/f${i}`)
    await Promise.all(many.map((path) => rest.request('PUT', path, { ips: ['192.0.2.1'], weights: [1] })))
    // A screen of 20 lines reads 20 of them.
    await shows(/^… \d+ more lines and 5 more functions/m)
    press('q')
    expect(await code).toBe(0)
    await sleep(20)
    expect([isAlternate(), listens(), page().trim()]).toEqual([false, false, ''])

    let plain = ''
    const monochrome = { ...io, colour: false, out: (text: string) => void (plain += text) }
    expect(await runCommandLine(['services', '--api', daemon.url], commands, '0', monochrome)).toBe(0)
    expect([plain.includes('web'), plain.includes('\u001b')]).toEqual([true, false])
    await daemon.close()
    expect(await runCommandLine(['top', '--api', daemon.url], commands, '0', io)).toBe(69)
    expect(listens()).toBe(false)
  } finally {
    await daemon.close()
    backend.close()
    await rm(data, { recursive: true, force: true })
  }
})
