import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { MemoryStore } from '../../test/fixtures/memoryStore.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import { MemoryPlane } from '../../test/fixtures/memoryPlane.ts'
import { defaultPulse } from '../model/pulse.ts'
import { checkReached } from './reached.ts'

const nowhere = { address: '255.255.255.255', port: 80 }
const http = { ...defaultPulse, type: 'http' } as const

describe('pulses that Torb carries out itself, in a virtual network', () => {
  it('are refused where the backend cannot be reached, with the cure', async () => {
    await expect(checkReached(new NetworkPlane(), http, nowhere)).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining(
        'does not reach 255.255.255.255:80 (network unreachable): give "pulse": {"type": "tcp"}',
      ) as string,
    })
  })

  it('are taken where it can, by the host and port that they name', async () => {
    await checkReached(new NetworkPlane(), http, { address: '127.0.0.1', port: 1 })
    await checkReached(new NetworkPlane(), { ...http, args: { host: '127.0.0.1', port: 1 } }, nowhere)
  })

  it.each([
    ['the plane carries it out', new NetworkPlane(), defaultPulse],
    ['there is none', new NetworkPlane(), { ...defaultPulse, type: 'none' } as const],
    ['the network is that of this host', new MemoryPlane(), http],
    ['no plane is there', undefined, http],
  ])('do not matter where %s', async (_, plane, pulse) => {
    await checkReached(plane, pulse, nowhere)
  })

  it('are looked at before a backend is made or changed', async () => {
    const control = await memoryControl(new MemoryStore(), new NetworkPlane())
    onTestFinished(() => control.close())
    await control.createService('web', { host: '10.9.0.1', port: 80 }, 'rest')
    const backend = { host: '203.0.113.1', port: 80 }
    const pulse = { type: 'http', args: { host: nowhere.address } }
    const refused = { code: 'invalid' }
    await expect(control.createBackend('web', 'a', { ...backend, pulse }, 'rest')).rejects.toMatchObject(
      refused,
    )
    await control.createBackend('web', 'a', backend, 'rest')
    await expect(control.patchBackend('web', 'a', { pulse }, 'rest')).rejects.toMatchObject(refused)
    expect(control.backend('web', 'a')?.options.pulse).toEqual(defaultPulse)
  })
})
