import { execFile } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { quantile, request, startDaemon, type RunningDaemon } from '../rig.ts'
import type { Show } from './show.ts'

/** Control at size: one more backend among 100,000, the start with all of them, and what each of them weighs. */
export const scale: Show = {
  about: '10,000 services × 10 backends: PUT of one more, start with all of them, heap of each',
  async run(size) {
    const [services, backends] = size === 'full' ? [10_000, 10] : [200, 5]
    const samples = size === 'full' ? 2000 : 50
    const data = await mkdtemp(join(tmpdir(), 'torb-scale-'))
    try {
      const fill = await (async () => {
        await using daemon = await startDaemon({ data })
        const begin = performance.now()
        await inParallel(services, 64, async (s) => {
          await put(daemon, `/service/s${s}`, { host: vip(s), port: 4000, method: 'rr' })
          for (let b = 0; b < backends; b++) await put(daemon, `/service/s${s}/b${b}`, backend(s, b))
        })
        const seconds = (performance.now() - begin) / 1000
        const times: number[] = []
        for (let i = 0; i < samples; i++) {
          const s = (i * 7919) % services
          const begun = performance.now()
          await put(daemon, `/service/s${s}/extra`, backend(s, 200))
          times.push(performance.now() - begun)
          await request(`${daemon.url}/service/s${s}/extra`, 'DELETE')
        }
        return { rate: (services * (backends + 1)) / seconds, times }
      })()
      const disk = syncTimes(data, samples)

      const begin = performance.now()
      let started = 0
      {
        await using daemon = await startDaemon({ data })
        started = performance.now() - begin
        const ids = (await daemon.api('GET', '/service')).body as string[]
        const one = (await daemon.api('GET', `/service/s${services - 1}`)).body as { backends: string[] }
        if (ids.length !== services || one.backends.length !== backends) {
          throw new Error(
            `after the restart there are ${ids.length} services, the last with ${one.backends.length} backends`,
          )
        }
      }
      const bytes = await heapPerBackend(data)
      const [p50, p99] = [quantile(fill.times, 0.5), quantile(fill.times, 0.99)]
      return {
        'services × backends': `${services} × ${backends}`,
        'objects created by REST': `${fill.rate.toFixed(0)}/s over 64 connections`,
        'PUT of one backend, p50 / p99': `${p50.toFixed(2)} / ${p99.toFixed(2)} ms`,
        "the disk's own fdatasync, p50 / p99": `${quantile(disk, 0.5).toFixed(2)} / ${quantile(disk, 0.99).toFixed(2)} ms`,
        'PUT p99 beyond the disk': `${(p99 - quantile(disk, 0.99)).toFixed(2)} ms`,
        'start with all of them': `${started.toFixed(0)} ms`,
        'heap a backend, after collection': `${bytes.toFixed(0)} bytes`,
      }
    } finally {
      await rm(data, { recursive: true, force: true })
    }
  },
}

/** Addresses of loopback, so that 10,000 services need no interface of their own. */
const vip = (s: number): string => `127.1.${Math.floor(s / 250)}.${1 + (s % 250)}`
const backend = (s: number, b: number): object => ({
  host: `127.2.${Math.floor(s / 250)}.${1 + (s % 250)}`,
  port: 5000 + b,
  pulse: { type: 'none', interval: '1h' },
})

async function put({ url }: RunningDaemon, path: string, body: object): Promise<void> {
  const answer = await request(`${url}${path}`, 'PUT', body)
  if (answer.status !== 200) throw new Error(`PUT ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

async function inParallel(
  count: number,
  width: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await work(next++)
    }),
  )
}

/** What one durable write of a page costs on this disk, whoever makes it: the file grows, as a write-ahead log does. */
function syncTimes(dir: string, samples: number): number[] {
  const file = openSync(join(dir, 'sync-probe'), 'a')
  const page = Buffer.alloc(4096)
  const times: number[] = []
  for (let i = 0; i < samples; i++) {
    const begin = performance.now()
    writeSync(file, page)
    fdatasyncSync(file)
    times.push(performance.now() - begin)
  }
  closeSync(file)
  return times
}

/** The daemon in a process that can be told to collect: heap with all backends less heap of an empty one. */
async function heapPerBackend(data: string): Promise<number> {
  const probe = new URL('heapProbe.ts', import.meta.url).pathname
  const run = async (dir: string): Promise<{ heap: number; backends: number }> => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--expose-gc',
      '--disable-warning=ExperimentalWarning',
      probe,
      dir,
    ])
    return JSON.parse(stdout) as { heap: number; backends: number }
  }
  const empty = await mkdtemp(join(tmpdir(), 'torb-empty-'))
  try {
    const [full, none] = [await run(data), await run(empty)]
    return (full.heap - none.heap) / full.backends
  } finally {
    await rm(empty, { recursive: true, force: true })
  }
}
