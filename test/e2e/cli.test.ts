import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { WireService } from '../../src/api/wire.ts'
import type { Io } from '../../src/cli/command.ts'
import { ipvsMissing } from '../../src/planes/ipvs/missing.ts'
import { commands } from '../../src/cli/index.ts'
import { listenForInterrupt } from '../../src/cli/interrupt.ts'
import { runCommandLine } from '../../src/cli/run.ts'
import { until } from '../../lab/until.ts'
import { freePort } from '../../src/planes/freePort.ts'

/** The commands against a real daemon on loopback, which is a process of its own. */
const binary = fileURLToPath(new URL('../../bin/torb', import.meta.url))

interface Result {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

interface Running {
  readonly done: Promise<Result>
  /** Resolves with the first line of standard output. */
  readonly firstLine: Promise<string>
  /** Its standard error so far. */
  errors(): string
  kill(signal: NodeJS.Signals): void
}

function start(args: readonly string[]): Running {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  const line = Promise.withResolvers<string>()
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
    if (out.includes('\n')) line.resolve(out.split('\n', 1)[0] ?? '')
  })
  child.stderr.on('data', (data: Buffer) => (err += data.toString()))
  const done = new Promise<Result>((resolve) => {
    child.once('close', (code) => {
      line.resolve('')
      resolve({ code, out, err })
    })
  })
  const running: Running = {
    done,
    firstLine: line.promise,
    errors: () => err,
    kill: (signal) => void child.kill(signal),
  }
  started.push(running)
  return running
}

/** Clients of the API run in this process, on a terminal that writes down what they print. */
async function run(args: readonly string[], env: Io['env'] = {}): Promise<Result> {
  const written = { out: '', err: '' }
  const io: Io = {
    out: (text) => void (written.out += text),
    err: (text) => void (written.err += text),
    env,
    tty: false,
    colour: false,
    columns: () => 80,
    rows: () => 24,
    keys: () => () => {},
    interrupt: listenForInterrupt,
  }
  return { code: await runCommandLine(args, commands, '0', io), ...written }
}

/** Where a daemon says that it answers. */
async function urlOf(running: Running): Promise<string> {
  const url = /http:\/\/\S+/.exec(await running.firstLine)?.[0]
  if (url === undefined) throw new Error(`the daemon did not start: ${running.errors()}`)
  return url
}

const started: Running[] = []
let directory = ''
let daemon: Running
let api = ''
let servicePort = 0
const torb = async (command: string, ...args: string[]): Promise<Result> =>
  await run([command, '--api', api, ...args])

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'torb-cli-'))
  servicePort = await freePort()
  daemon = start([
    'serve',
    '-l=127.0.0.1:0',
    '-i',
    'lo',
    '-f',
    '--data',
    join(directory, 'data'),
    '--plane',
    'userspace',
  ])
  api = await urlOf(daemon)
})

afterAll(async () => {
  // Also those of a story that failed.
  for (const running of started) running.kill('SIGKILL')
  await Promise.all(started.map(async ({ done }) => await done))
  await rm(directory, { recursive: true, force: true })
})

it('serve prints exactly one line when it is ready', async () => {
  expect(await daemon.firstLine).toMatch(/^torb ready http:\/\/127\.0\.0\.1:\d+ plane=userspace$/)
})

// A machine with IPVS would start it.
const noIpvs = await ipvsMissing()
if (noIpvs === null) console.log('skipped: a kernel without IPVS is named, as this one has it')

describe('serve says in one sentence why it does not start', () => {
  it.each([
    [['--lisen', ':1'], 64, 'unknown flag --lisen: did you mean --listen?'],
    [
      ['-c', '127.0.0.1:8500'],
      64,
      '--consul must be the URL of a Consul agent, such as http://127.0.0.1:8500',
    ],
    [['-store', 'x'], 64, 'no flag --store: Torb keeps its own store under --data'],
    [['--plane', 'ebfp'], 64, '--plane cannot be "ebfp": it takes one of auto, userspace, ipvs, ebpf, ovn'],
    [['--plane', 'ebpf', '--data', '/tmp/torb-cli-none'], 1, 'the ebpf plane is not part of this version'],
    [['--tcp-timeout', '0'], 64, '--tcp-timeout cannot be "0": it takes a whole number from 1'],
  ])('%j', async (args, code, sentence) => {
    const result = await start(['serve', ...args]).done
    expect([result.code, result.out]).toEqual([code, ''])
    expect(result.err).toContain(`torb serve: ${sentence}`)
    expect(result.err.trimEnd().split('\n')).toHaveLength(1)
    await rm('/tmp/torb-cli-none', { recursive: true, force: true })
  })

  it.skipIf(noIpvs === null)('a kernel without IPVS', async () => {
    const result = await start(['serve', '--plane', 'ipvs', '--data', '/tmp/torb-cli-none']).done
    expect([result.code, result.out]).toEqual([1, ''])
    expect(result.err).toBe(`torb serve: the ipvs plane cannot be had here: ${noIpvs}\n`)
    await rm('/tmp/torb-cli-none', { recursive: true, force: true })
  })

  it('a data directory that another one uses', async () => {
    const result = await start(['serve', '-l', '127.0.0.1:0', '--data', join(directory, 'data')]).done
    expect([result.code, result.out]).toEqual([1, ''])
    expect(result.err).toMatch(/torb serve: .*\d+/)
  })
})

it.each(['SIGTERM', 'SIGINT'] as const)('serve ends in order on %s', async (signal) => {
  const data = join(directory, `data-${signal}`)
  const other = start(['serve', '-l', '127.0.0.1:0', '--data', data])
  expect(await other.firstLine).toMatch(/^torb ready /)
  other.kill(signal)
  const { code, out } = await other.done
  expect([code, out.split('\n').length]).toEqual([0, 2])
})

it('serve reads its file again on SIGHUP, and keeps what it has where the file has a mistake', async () => {
  const file = join(directory, 'torb.yaml')
  const port = await freePort()
  const text = (method: string): string =>
    `services: { s: { host: 127.0.0.1, port: ${port}, method: ${method} } }\n`
  await writeFile(file, text('rr'))
  const other = start([
    'serve',
    '-l',
    '127.0.0.1:0',
    '--data',
    join(directory, 'data-file'),
    '--config',
    file,
  ])
  const url = await urlOf(other)
  const method = async (): Promise<string> =>
    (
      JSON.parse((await run(['services', '--api', url, '--json', 's'])).out) as {
        options: { method: string }
      }
    ).options.method
  expect(await method()).toBe('rr')
  await writeFile(file, text('lc'))
  other.kill('SIGHUP')
  await until(async () => (await method()) === 'lc')
  await writeFile(file, 'services: [')
  other.kill('SIGHUP')
  await until(() => other.errors().includes('config-refused'))
  expect(await method()).toBe('lc')
  other.kill('SIGTERM')
  expect((await other.done).code).toBe(0)
})

it('a second signal ends a process at once, with the status of that signal', async () => {
  const module = JSON.stringify(fileURLToPath(new URL('../../src/cli/interrupt.ts', import.meta.url)))
  const script = `import { listenForInterrupt } from ${module}
    listenForInterrupt().received.then((name) => console.log(name))
    console.log('listens')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let out = ''
  child.stdout.on('data', (data: Buffer) => {
    out += data.toString()
    // The first line asks for the first signal, its echo for the second.
    child.kill('SIGINT')
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect([code, out]).toEqual([130, 'listens\nSIGINT\n'])
})

describe('a file of services', () => {
  const file = (): string => join(directory, 'services.yaml')
  const text = (method: string, backends: string): string =>
    `services:\n  web:\n    host: 127.0.0.1\n    port: ${servicePort}\n    method: ${method}\n    backends:\n${backends}`
  const backend = (id: string, port: number): string =>
    `      ${id}: { host: 127.0.0.1, port: ${port}, pulse: { type: none } }\n`

  it('is shown, applied, and then there is nothing to do', async () => {
    await writeFile(file(), text('rr', backend('a', 1) + backend('b', 2)))
    const plan = await torb('plan', file())
    expect(plan).toEqual({ code: 0, out: '+ web: is new, with 2 backends\n', err: '' })
    expect((await torb('services', '--json')).out).toBe('[]\n')
    expect(await torb('apply', file())).toEqual(plan)
    expect((await torb('apply', file())).out).toBe('nothing to do\n')
  })

  it('changes only what differs, and deletes only with --prune', async () => {
    await writeFile(file(), text('lc', backend('a', 1)))
    expect((await torb('apply', file())).out).toBe('~ web: method rr → lc\n')
    expect((await torb('apply', '--prune', file())).out).toBe('- web/b: is not in the file\n')
    const [service] = JSON.parse((await torb('services', '--json')).out) as [
      { options: object; backends: object[] },
    ]
    expect(service.options).toMatchObject({ method: 'lc', port: servicePort })
    expect(service.backends).toHaveLength(1)
  })

  it('with a mistake is refused with its line, and nothing is changed', async () => {
    await writeFile(file(), text('rr', '      a: { host: 127.0.0.1, prot: 1 }\n'))
    const { code, out, err } = await torb('apply', file())
    expect([code, out]).toEqual([65, ''])
    expect(err).toContain('services.yaml:7:')
    expect((await torb('services', 'web', '--json')).out).toContain('"method": "lc"')
  })

  it('stops at what the API refuses and says how far it came', async () => {
    await writeFile(file(), `services:\n  x: { host: 127.0.0.1, port: ${servicePort} }\n`)
    const { code, err } = await torb('apply', file())
    expect(code).toBe(1)
    expect(err).toMatch(/^torb apply: PUT \/service\/x: .* \(status \d+\); 0 of 1 steps were done\n$/)
  })
})

it('services shows a table, or one service', async () => {
  const table = await torb('services')
  expect(table.out.split('\n').map((line) => line.split(/ +/).slice(0, 3).join(' ').trim())).toEqual([
    'SERVICE ADDRESS STATUS',
    'web tcp 127.0.0.1:' + servicePort,
    'a 127.0.0.1:1',
    '',
  ])
  expect((await torb('services', 'web')).out.split('\n')[0]).toBe(table.out.split('\n')[0])
  expect(await torb('services', 'none')).toEqual({
    code: 1,
    out: '',
    err: 'torb services: there is no service "none": "torb services" lists those there are\n',
  })
})

it('services shows what comes in a time, where it is told one', async () => {
  const { out } = await torb('services', 'web', '--sample', '50ms')
  expect(out).toMatch(/^web .* +0\.0 +0$/m)
})

it('zero sets counters to zero, and says where there is no such service', async () => {
  const client = connect(servicePort, '127.0.0.1')
  client.on('error', () => {})
  await new Promise((resolve) => client.on('close', resolve))
  const errors = async () => {
    const { statistics } = JSON.parse((await torb('services', 'web', '--json')).out) as WireService
    return statistics?.errors
  }
  // Nobody listens where its only backend is.
  await until(async () => (await errors()) !== 0)
  expect(await torb('zero', 'web')).toEqual({ code: 0, out: '', err: '' })
  expect(await errors()).toBe(0)
  expect(await torb('zero')).toEqual({ code: 0, out: '', err: '' })
  expect(await torb('zero', 'none')).toEqual({
    code: 1,
    out: '',
    err: 'torb zero: there is no service "none": "torb services" lists those there are\n',
  })
})

it('planes shows who carries the services', async () => {
  expect((await torb('planes')).out).toMatch(
    /^PLANE +SERVICES +FAILING +FOREIGN +AUDITED +PROBLEM\nuserspace +1 +0 +0 +-\n/,
  )
  expect(JSON.parse((await torb('planes', '--json')).out)).toMatchObject({
    planes: [{ name: 'userspace', foreign: [], problem: '' }],
    announcers: [],
  })
})

it('explain says where a connection would go, and exits 1 where it would go nowhere', async () => {
  const { code, out } = await torb('explain', '--from', '127.0.0.9', `127.0.0.1:${servicePort}`)
  expect(code).toBe(0)
  expect(out).toMatch(/^1\. [^]*→ service web, backend a\n$/)
  const none = await torb('explain', '127.0.0.1:1')
  expect([none.code, none.out]).toEqual([1, expect.stringContaining('→ no service takes it\n')])
})

it('top prints lines of JSON, or tables, where there is no terminal', async () => {
  const json = await torb('top', '--json', '--seconds', '1', '--interval', '300ms')
  expect(json.code).toBe(0)
  const lines = json.out.trimEnd().split('\n')
  expect(lines.length).toBeGreaterThan(1)
  for (const line of lines) expect((JSON.parse(line) as { services: object[] }).services).toHaveLength(1)
  const plain = await torb('top', '--seconds', '1')
  expect(plain.out).toMatch(/^torb top {2}http\S+ {2}1 service, 1 of 1 backends Up\n/)
})

it('a backup of the running daemon is restored elsewhere, and never overwrites', async () => {
  const file = join(directory, 'backup.db')
  const data = join(directory, 'data')
  expect((await run(['backup', '--data', data, file])).code).toBe(0)
  expect(existsSync(file)).toBe(true)
  expect(await run(['backup', '--data', data, file])).toMatchObject({ code: 73, out: '' })
  expect(await run(['backup', '--data', join(directory, 'nowhere'), join(directory, 'x')])).toMatchObject({
    code: 66,
  })
  // The directory is in use.
  expect(await run(['restore', '--data', data, file])).toMatchObject({ code: 1, out: '' })
  expect(await run(['restore', '--data', data, join(directory, 'no-file')])).toMatchObject({ code: 66 })

  const elsewhere = join(directory, 'elsewhere')
  expect((await run(['restore', '--data', elsewhere, file])).code).toBe(0)
  await torb('apply', '--prune', await empty())
  const other = start(['serve', '-l', '127.0.0.1:0', '--data', elsewhere])
  const url = await urlOf(other)
  expect((await run(['services', '--api', url, '--json', 'web'])).out).toContain('"method": "lc"')
  other.kill('SIGTERM')
  expect((await other.done).code).toBe(0)
})

async function empty(): Promise<string> {
  const file = join(directory, 'empty.json')
  await writeFile(file, '{"services": {}}')
  return file
}

it('a token is taken from a file or the environment where one is wanted', async () => {
  const data = join(directory, 'data-strict')
  const strict = start(['serve', '-l', '127.0.0.1:0', '--data', data, '--local-trust=none'])
  const url = await urlOf(strict)
  const without = await run(['services', '--api', url])
  expect([without.code, without.err]).toEqual([
    1,
    expect.stringContaining('wants a token: give --token-file'),
  ])
  expect((await run(['services', '--api', url, '--token-file', join(data, 'token')])).out).toBe(
    'no services\n',
  )
  const token = (await readFile(join(data, 'token'), 'utf8')).trim()
  expect((await run(['services', '--api', url], { TORB_TOKEN: token })).out).toBe('no services\n')
  strict.kill('SIGTERM')
  await strict.done
})

it('clients say how to start a Torb where none answers', async () => {
  const url = `http://127.0.0.1:${await freePort()}`
  for (const args of [['services'], ['top'], ['explain', '1.2.3.4:5']]) {
    const { code, err } = await run([...args, '--api', url])
    expect(code).toBe(69)
    expect(err).toMatch(
      /^torb \w+: no Torb answers at .*: start it with "torb serve", or say where it is with --api URL\n$/,
    )
  }
})

it('doctor tells facts, and exits by whether there is a problem', async () => {
  const { code, out } = await start(['doctor', '--json']).done
  const { findings } = JSON.parse(out) as { findings: { level: string; subject: string }[] }
  expect(code).toBe(findings.some(({ level }) => level === 'problem') ? 1 : 0)
  expect(findings.map(({ subject }) => subject)).toContain('descriptors')
})
