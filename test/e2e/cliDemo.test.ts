import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import { until } from '../../lab/until.ts'

const binary = fileURLToPath(new URL('../../bin/torb', import.meta.url))

/** Processes whose environment holds this mark: those of the demonstration and none else. */
async function processesOf(mark: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const environments = await Promise.all(
    pids.map(async (pid) => await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')),
  )
  return pids.filter((_, i) => environments[i]?.includes(mark))
}

function demo(
  temporary: string,
  ...args: string[]
): { child: ChildProcess; output: () => string; done: Promise<unknown> } {
  const env = { ...process.env, TMPDIR: temporary }
  const child = spawn(binary, ['demo', ...args], { stdio: ['ignore', 'pipe', 'pipe'], env, detached: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => (output += data.toString()))
  const done = new Promise((resolve) => child.once('close', resolve))
  return { child, output: () => output, done }
}

it('plays the tutorial, sees balance and health behave, and leaves nothing behind', async () => {
  const temporary = await mkdtemp(join(tmpdir(), 'torb-demo-test-'))
  const { output, done } = demo(temporary, '--seconds', '10', '--seed', '1')
  const code = await done
  expect({ code, output: output() }).toMatchObject({ code: 0 })
  expect(output()).toContain('server2 is Down')
  expect(output().match(/^ok {4}/gm)).toHaveLength(5)
  expect(await readdir(temporary)).toEqual([])
  expect(await processesOf(temporary)).toEqual([])
  await rm(temporary, { recursive: true })
})

it.each(['SIGINT', 'SIGTERM'] as const)('%s ends it and all its processes', async (signal) => {
  const temporary = await mkdtemp(join(tmpdir(), 'torb-demo-test-'))
  const { child, output, done } = demo(temporary)
  await until(() => output().includes('requests at'))
  expect((await processesOf(temporary)).length).toBeGreaterThan(4)
  // Ctrl-C reaches all processes of the terminal, servers and balancer too.
  if (signal === 'SIGINT' && child.pid !== undefined) process.kill(-child.pid, signal)
  else child.kill(signal)
  expect(await done).toBe(1)
  expect(output()).toContain('ended before a round was over: nothing to judge')
  expect(output()).not.toContain('no Torb answers')
  expect(await processesOf(temporary)).toEqual([])
  expect(await readdir(temporary)).toEqual([])
  await rm(temporary, { recursive: true })
})

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: torb demo --ovn: ${missing}`)

it.skipIf(missing !== null)('--ovn plays on a virtual network, of which Ctrl-C leaves nothing', async () => {
  const temporary = await mkdtemp(join(tmpdir(), 'torb-demo-test-'))
  const { child, output, done } = demo(temporary, '--ovn', '--seconds', '10')
  while (!/vm3 asks .* the servers log 10\.127\.0\.129/.test(output())) {
    expect({ code: child.exitCode, output: output() }).toMatchObject({ code: null })
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  expect(output()).toMatch(/lan asks .* the servers log 10\.127\.0\.130$/m)
  expect(output()).toContain('Torb warns: gateway router edge1')
  const pids = await processesOf(temporary)
  expect(pids.length).toBeGreaterThan(10)
  child.kill('SIGINT')
  expect(await done).toBe(1)
  expect(output()).toContain('ended before a round was over: nothing to judge')
  expect(await processesOf(temporary)).toEqual([])
  expect(await readdir(temporary)).toEqual([])
  const makers = (await readdir('/run/netns')).map((name) => name.split('-')[1] ?? '')
  expect(makers.filter((pid) => pids.includes(pid))).toEqual([])
  await rm(temporary, { recursive: true })
})

it('fails in one sentence where a server cannot be started', async () => {
  const { output, done } = demo('/nonexistent', '--seconds', '10')
  expect(await done).toBe(1)
  expect(output()).toMatch(/^torb demo: .*\/nonexistent.*\n$/)
})
