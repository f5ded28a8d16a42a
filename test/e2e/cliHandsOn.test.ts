import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { until } from '../../lab/until.ts'
import { freePort } from '../../src/planes/freePort.ts'

/** Runs the sh blocks of docs/hands-on.md one after the other; those of a `# terminal N` go on in the background. */
const root = fileURLToPath(new URL('../../', import.meta.url))
const started: ChildProcess[] = []
const consoles = new Map<string, string>()
let directory = ''
let replace: (block: string) => string = (block) => block

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'torb-hands-on-'))
  const service = await freePort('127.0.0.1', '127.0.0.2', '127.0.0.3')
  const api = await freePort('127.0.0.1')
  const probes = await freePort('127.0.0.1')
  replace = (block) =>
    block
      .replaceAll('torb serve ', `torb serve -l 127.0.0.1:${api} --data ${directory} `)
      .replaceAll('torb server ', `torb server --port ${service} `)
      .replaceAll('torb client ', `torb client --port ${service} --probe-port ${probes} `)
      .replaceAll(/torb (services|explain) /g, `torb $1 --api http://127.0.0.1:${api} `)
      .replaceAll('torb services\n', `torb services --api http://127.0.0.1:${api}\n`)
      .replaceAll(':4444', `:${service}`)
      .replaceAll('"port":4444', `"port":${service}`)
      .replaceAll(':4672', `:${api}`)
})

afterAll(async () => {
  await Promise.all(started.map(ended))
  await rm(directory, { recursive: true, force: true })
})

it('the lines of the tutorial do what it says', async () => {
  const text = await readFile(join(root, 'docs/hands-on.md'), 'utf8')
  const blocks = [...text.matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block)
  const outputs = new Map<string, string>()
  for (const block of blocks) {
    const terminal = /^# (terminal \d)/.exec(block)?.[1]
    if (terminal === undefined) outputs.set(block, await foreground(block))
    else await background(terminal, block)
  }

  const outputOf = (part: string): string[] =>
    [...outputs].filter(([block]) => block.includes(part)).map(([, output]) => output)
  const [create = '', backends = '', remove = ''] = outputOf('curl -i')
  expect(create).toMatch(/^HTTP\/1.1 200 OK\r\n/)
  expect(backends.match(/^HTTP\/1.1 200 OK\r$/gm)).toHaveLength(2)
  expect(remove).toMatch(/^HTTP\/1.1 200 OK\r\n/)

  const shown = outputOf('/service/0/1; echo')[0] ?? ''
  expect(shown).toContain('"method": "rr"')
  expect(shown).toContain('"metrics": {')
  expect(shown).toMatch(/^SERVICE /m)

  const [dozen = '', four = ''] = outputOf('for i in')
  expect(dozen).toBe('Response sent after 500 ms\n'.repeat(12))
  expect(four).toBe('Response sent after 500 ms\n'.repeat(4))
  // By its own console: one request of its own, six of the dozen.
  expect(Object.fromEntries(beforeLoad)).toEqual({ 'terminal 1': 7, 'terminal 2': 7, 'terminal 3': 0 })
  expect(outputOf('torb client')[0]).toMatch(/\d+ of \d+ requests got no response\n/)
  const [down = '', up = ''] = outputOf('torb services 0')
  expect(down).toMatch(/^ {2}0 .* Down +0\/100 .*Down: /m)
  expect(down).toMatch(/^ {2}1 .* Up +100 /m)
  expect(up).toMatch(/^ {2}0 .* Up +[1-9]\d?\/100 .*recovering/m)
  expect(outputOf('torb explain')[0]).toMatch(/→ service 0, backend [01]\n/)
})

/** Requests that each server had answered when the load began. */
const beforeLoad = new Map<string, number>()

async function foreground(block: string): Promise<string> {
  if (block.includes('torb client')) {
    const count = (): void => {
      for (const [terminal, text] of consoles)
        beforeLoad.set(terminal, text.match(/: answered/g)?.length ?? 0)
    }
    // What a server prints may come after its answer.
    await until(() => {
      count()
      return beforeLoad.values().reduce((sum, answers) => sum + answers, 0) >= 14
    }, 'the consoles’ fourteen answers')
  }
  const child = spawn('sh', ['-e', '-c', replace(block)], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stdout.on('data', (data: Buffer) => (output += data.toString()))
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect({ block, code, errors: code === 0 ? '' : errors }).toEqual({ block, code: 0, errors: '' })
  return output
}

async function background(terminal: string, block: string): Promise<void> {
  // exec: the signal that ends it goes to torb itself.
  const command = `exec ${replace(block.replace(/^#.*\n/, '')).trim()}`
  const child = spawn('sh', ['-c', command], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  consoles.set(terminal, '')
  let errors = ''
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (data: Buffer) => {
      consoles.set(terminal, (consoles.get(terminal) ?? '') + data.toString())
      if (consoles.get(terminal)?.includes(' ready ') === true) resolve()
    })
    child.once('close', (code) => reject(new Error(`${block} ended with ${String(code)}: ${errors}`)))
  })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('close', resolve))
  child.kill('SIGTERM')
  await gone
}
