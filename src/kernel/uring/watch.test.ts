import { readFileSync, readlinkSync, writeSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { ringMissing } from './probe.ts'
import { openWatch } from './watch.ts'

const missing = await ringMissing()
if (missing !== null) console.warn(`skipped: a watch in the event loop, as ${missing}`)

describe.skipIf(missing !== null)('a watch', () => {
  it('calls back in the event loop, each time it is written to', async () => {
    const calls: (() => void)[] = []
    const watch = await openWatch(() => calls.shift()?.())
    for (let time = 0; time < 3; time += 1) {
      const called = new Promise<void>((resolve) => calls.push(resolve))
      writeSync(watch.descriptor, new Uint8Array(new BigUint64Array([1n]).buffer))
      await called
    }
    watch.close()
  })

  it('knows the epoll of its event loop', async () => {
    const watch = await openWatch(() => {})
    expect(readlinkSync(`/proc/self/fd/${watch.eventLoop}`)).toContain('eventpoll')
    const waits = readFileSync(`/proc/self/fdinfo/${watch.eventLoop}`, 'utf8')
    expect(waits).toMatch(new RegExp(`^tfd: +${watch.descriptor} `, 'm'))
    const other = await openWatch(() => {})
    expect(other.eventLoop).toBe(watch.eventLoop)
    watch.close()
    other.close()
  })
})
