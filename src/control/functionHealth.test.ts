import { describe, expect, it } from 'vitest'
import { readFunction } from '../model/function.ts'
import type { Pace, Pulse, Schedule } from '../pulse/check.ts'
import { EventLog } from './events.ts'
import { FunctionHealth, type CheckedInstance } from './functionHealth.ts'
import type { FunctionChange, PublishedFunction } from './functions.ts'

const silent = { info: () => undefined, warn: () => undefined }

/** Health whose checks the test answers, and the weights that were told. */
function rig(isGateway: (text: string) => boolean = () => false) {
  const told: (readonly number[])[] = []
  const events = new EventLog()
  const starts: string[] = []
  const checked = new Map<string, { key: CheckedInstance; schedule: Schedule; pace: Pace }>()
  let answer: (key: CheckedInstance, up: boolean) => void = () => undefined
  const health = new FunctionHealth({
    target: {
      apply: (changes: readonly FunctionChange[]) => {
        for (const { published } of changes)
          if (published !== null) told.push(published.overlay?.weights ?? published.spec.weights)
        return Promise.resolve()
      },
    },
    isGateway,
    events,
    log: silent,
    now: () => 1000,
    pulseOf: ({ onResult }): Pulse<CheckedInstance> => {
      answer = (key, up) => onResult(key, { up, reason: up ? '' : 'connection refused' }, 1000)
      return {
        set: (key, schedule) => {
          starts.push(key.text)
          checked.set(key.text, { key, schedule, pace: 'normal' })
        },
        setPace: (key, pace) => void (checked.get(key.text)!.pace = pace),
        delete: (key) => void checked.delete(key.text),
        size: 0,
        inFlight: 0,
        close: () => undefined,
      }
    },
  })
  return {
    health,
    told,
    starts,
    checked,
    answer: (text: string, up: boolean) => answer(checked.get(text)!.key, up),
    types: () => events.since(0).map(({ event }) => event.type),
  }
}

function published(weights: readonly number[], fields: object = {}): PublishedFunction {
  const ips = weights.map((_, index) => `10.0.0.${index + 1}:80`)
  const pulse = { type: 'tcp', interval: '10s', window: 4 }
  const spec = readFunction({ ips, weights: [...weights], pulse, ...fields })
  const instances = ips.map((text, index) => ({ text, address: `10.0.0.${index + 1}`, port: 80 }))
  return { name: 'f', owner: 'rest', zone: '', spec, overlay: null, instances }
}

const [a, b] = ['10.0.0.1:80', '10.0.0.2:80']

describe('pulses of instances', () => {
  it('take the weight of one that is down, and give it back by steps', async () => {
    const { health, told, answer, checked, types } = rig()
    await health.apply([{ name: 'f', published: published([3, 1]) }])
    expect(checked.get(a)?.schedule.check).toMatchObject({ kind: 'tcp', address: '10.0.0.1', port: 80 })
    answer(b, false)
    expect(health.state('f', b)).toEqual({ isUp: false, reason: 'connection refused', share: 0 })
    expect(checked.get(b)?.pace).toBe('down')
    answer(b, false)
    answer(b, true)
    expect(checked.get(b)?.pace).toBe('recovering')
    for (let n = 0; n < 4; n++) answer(b, true)
    expect(checked.get(b)?.pace).toBe('normal')
    expect(told).toEqual([
      [3, 1],
      [3, 0],
      [3, 0.4],
      [3, 0.5],
      [3, 0.8],
      [3, 1],
    ])
    expect(types()).toEqual(['instance-down', 'instance-up'])
  })

  it('leave all of their weight where all are down', async () => {
    const { health, told, answer } = rig()
    await health.apply([{ name: 'f', published: published([0, 3]) }])
    answer(b, false)
    expect(told.at(-1)).toEqual([0, 3])
    expect(health.state('f', b)?.isUp).toBe(false)
  })

  it('are as many in a row as the pulse says', async () => {
    const { health, told, answer } = rig()
    const pulse = { type: 'tcp', interval: '10s', fall: 2 }
    await health.apply([{ name: 'f', published: published([1, 1], { pulse }) }])
    answer(a, false)
    expect(told).toHaveLength(1)
    answer(a, false)
    expect(told.at(-1)).toEqual([0, 1])
  })

  it('are not run where none is wanted, nor for gateways, and end with the function', async () => {
    const { health, checked } = rig((instance) => instance === a)
    await health.apply([{ name: 'f', published: published([1, 1]) }])
    expect([...checked.keys()]).toEqual([b])
    expect(health.state('f', a)).toBeNull()
    await health.apply([{ name: 'f', published: published([1, 1], { pulse: { type: 'none' } }) }])
    expect(checked.size).toBe(0)
    await health.apply([{ name: 'f', published: published([1, 1]) }])
    expect(checked.size).toBe(1)
    await health.apply([{ name: 'f', published: null }])
    expect(checked.size).toBe(0)
  })

  it('are run once for an instance that is listed twice', async () => {
    const { health, told, starts, answer } = rig()
    const twice = { ips: [a, b, a], weights: [1, 2, 3] }
    const instances = twice.ips.map((text) => ({ text, address: text.replace(':80', ''), port: 80 }))
    await health.apply([{ name: 'f', published: { ...published([1, 2, 3], twice), instances } }])
    expect(starts).toEqual([a, b])
    answer(a, false)
    expect(told.at(-1)).toEqual([0, 2, 0])
  })

  it('keep the health of an instance over a change of the function, and follow an overlay', async () => {
    const { health, told, answer } = rig()
    await health.apply([{ name: 'f', published: published([3, 1]) }])
    answer(a, false)
    await health.apply([{ name: 'f', published: published([5, 2]) }])
    expect(told.at(-1)).toEqual([0, 2])
    const overlay = { weights: [2, 7], until: 5000 }
    await health.apply([{ name: 'f', published: { ...published([5, 2]), overlay } }])
    expect(told.at(-1)).toEqual([0, 7])
  })
})
