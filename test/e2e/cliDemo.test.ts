import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

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
  const child = spawn(binary, ['demo', ...args], { stdio: ['ignore', 'pipe', 'pipe'], env })
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
  while (!output().includes('requests at')) await new Promise((resolve) => setTimeout(resolve, 50))
  expect((await processesOf(temporary)).length).toBeGreaterThan(4)
  child.kill(signal)
  expect(await done).toBe(1)
  expect(output()).toContain('ended before a round was over: nothing to judge')
  expect(await processesOf(temporary)).toEqual([])
  expect(await readdir(temporary)).toEqual([])
  await rm(temporary, { recursive: true })
})

it('fails in one sentence where a server cannot be started', async () => {
  const { output, done } = demo('/nonexistent', '--seconds', '10')
  expect(await done).toBe(1)
  expect(output()).toMatch(/^torb demo: .*\/nonexistent.*\n$/)
})
