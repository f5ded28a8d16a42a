import { afterEach, describe, expect, it } from 'vitest'
import { SystemCallError } from '../ffi.ts'
import { ringMissing } from './probe.ts'
import { Ring } from './ring.ts'
import { writeClose, writeNop, writePoll, pollEvent } from './submission.ts'
import { openWake } from './wake.ts'

const missing = await ringMissing()
if (missing !== null) console.warn(`skipped: rings, as ${missing}`)

describe.skipIf(missing !== null)('a ring', () => {
  const rings: Ring[] = []
  afterEach(() => {
    for (const ring of rings.splice(0)) ring.close()
  })
  async function open(entries: number): Promise<Ring> {
    const ring = await Ring.open(entries)
    rings.push(ring)
    return ring
  }

  it('gives back the user data of what completed', async () => {
    const ring = await open(8)
    writeNop(ring.words, ring.claim(-5, 0x7fffffff))
    writeNop(ring.words, ring.claim(6, -2))
    const seen: number[][] = []
    const completions = { completed: (...all: number[]) => void seen.push(all) }
    ring.dispatch(completions)
    expect(seen).toEqual([])
    ring.submit(1000)
    ring.dispatch(completions)
    ring.dispatch(completions)
    expect(seen).toEqual([
      [-5, 0x7fffffff, 0, 0],
      [6, -2, 0, 0],
    ])
  })

  it('takes more submissions than it has places for, and loses no completion', async () => {
    const ring = await open(4)
    const count = 1000
    for (let index = 0; index < count; index += 1) writeNop(ring.words, ring.claim(index, 0))
    const seen: number[] = []
    for (let round = 0; seen.length < count && round < count; round += 1) {
      ring.submit(0)
      ring.dispatch({ completed: (low) => void seen.push(low) })
    }
    expect(seen).toEqual(Array.from({ length: count }, (_, index) => index))
  })

  it('goes around its queues', async () => {
    const ring = await open(2)
    const seen: number[] = []
    for (let index = 0; index < 100; index += 1) {
      writeNop(ring.words, ring.claim(index, 0))
      ring.submit(1000)
      ring.dispatch({ completed: (low) => void seen.push(low) })
    }
    expect(seen).toEqual(Array.from({ length: 100 }, (_, index) => index))
  })

  it('may be asked again while it tells', async () => {
    const ring = await open(8)
    for (let index = 0; index < 3; index += 1) writeNop(ring.words, ring.claim(index, 0))
    ring.submit(1000)
    const seen: number[] = []
    const completions = {
      completed: (low: number) => {
        seen.push(low)
        if (low !== 0) return
        writeNop(ring.words, ring.claim(3, 0))
        ring.submit(0)
        ring.dispatch(completions)
      },
    }
    ring.dispatch(completions)
    expect(seen).toEqual([0, 1, 2, 3])
  })

  it('goes on after what threw', async () => {
    const ring = await open(8)
    for (let index = 0; index < 2; index += 1) writeNop(ring.words, ring.claim(index, 0))
    ring.submit(1000)
    expect(() =>
      ring.dispatch({
        completed: () => {
          throw new Error('of the user')
        },
      }),
    ).toThrow('of the user')
    const seen: number[] = []
    ring.dispatch({ completed: (low) => void seen.push(low) })
    expect(seen).toEqual([1])
  })

  it('waits no longer than it is told', async () => {
    const ring = await open(2)
    ring.submit(1)
    ring.submit(0.2)
    ring.dispatch({ completed: () => expect.unreachable('nothing was submitted') })
  })

  it('waits for what another thread may do', async () => {
    const ring = await open(2)
    const wake = await openWake()
    writePoll(ring.words, ring.claim(7, 0), wake.descriptor, pollEvent.in)
    const seen: number[][] = []
    ring.submit(0)
    ring.dispatch({ completed: (...all) => void seen.push(all) })
    expect(seen).toEqual([])
    wake.wake()
    ring.submit(10_000)
    ring.dispatch({ completed: (...all) => void seen.push(all) })
    expect(seen).toEqual([[7, 0, pollEvent.in, 0]])
    wake.close()
  })

  it('tells of a failure by its errno', async () => {
    const ring = await open(2)
    writeClose(ring.words, ring.claim(1, 2), -1)
    ring.submit(1000)
    const seen: number[][] = []
    ring.dispatch({ completed: (...all) => void seen.push(all) })
    // EBADF
    expect(seen).toEqual([[1, 2, -9, 0]])
  })

  it('refuses to be without entries', async () => {
    await expect(Ring.open(0)).rejects.toThrow(SystemCallError)
  })
})
