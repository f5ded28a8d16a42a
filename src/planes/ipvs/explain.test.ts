import { mkdtempDisposableSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Explanation, VirtualService } from '../plane.ts'
import { keyText, serviceKey } from './entries.ts'
import { explain } from './explain.ts'
import { MemoryIpvs } from './memoryIpvs.ts'
import { destination, openOver, virtualService } from './rig.ts'

const flow = {
  protocol: 'tcp',
  source: '10.1.1.5',
  sourcePort: 40_239,
  destination: '10.9.0.1',
  destinationPort: 80,
} as const

/** @param own of these services; the others are strangers */
async function explained(
  specs: readonly VirtualService[],
  connections: readonly string[] = [],
  own: readonly VirtualService[] = specs,
): Promise<Explanation> {
  const ipvs = new MemoryIpvs(['rr', 'wlc', 'sh', 'dh', 'mh', 'lblc', 'twos'])
  const { plane } = await openOver(ipvs)
  await plane.apply(specs.map((after) => ({ key: after.id, before: null, after })))
  using place = mkdtempDisposableSync(join(tmpdir(), 'torb-explain-'))
  const file = join(place.path, 'ip_vs_conn')
  writeFileSync(file, connections.map((line) => `${line}\n`).join(''))
  const owners = new Map(
    own.map((spec) => [keyText(serviceKey(spec, spec.family)), { id: spec.id, known: spec }]),
  )
  return await explain(ipvs, owners, flow, file)
}

const two = [destination(1), destination(2)]
const sticky = virtualService({ persistence: { timeout: 300, prefix: 24 }, destinations: two })

describe('explain', () => {
  it.each<[string, VirtualService, string | null, string]>([
    ['no backends', virtualService(), null, 'The service has no backends.'],
    [
      'all at weight 0',
      virtualService({ destinations: [destination(1, { weight: 0 })] }),
      null,
      'its weight is 0',
    ],
    [
      'one left',
      virtualService({ destinations: [destination(1, { weight: 0 }), destination(2)] }),
      'b2',
      'has only backend b2',
    ],
    ['rr', virtualService({ destinations: two }), null, 'does not tell whose turn'],
    ['wlc', virtualService({ scheduler: 'wlc', destinations: two }), null, 'how many connections'],
    [
      'mh',
      virtualService({ scheduler: 'mh', destinations: two }),
      null,
      'a size chosen when the kernel was built',
    ],
    ['lblc', virtualService({ scheduler: 'lblc', destinations: two }), null, 'remembers'],
    ['twos', virtualService({ scheduler: 'twos', destinations: two }), null, 'at random'],
    [
      'any port',
      virtualService({
        port: 'any',
        persistence: { timeout: 9, prefix: 32 },
        destinations: [destination(1, { port: 0 })],
      }),
      'b1',
      'any port',
    ],
  ])('%s', async (_, spec, backend, step) => {
    const explanation = await explained([spec])
    expect(explanation).toMatchObject({ service: 'web', backend })
    expect(explanation.steps.join('\n')).toContain(step)
  })

  it('says that nobody, or a stranger, takes it', async () => {
    expect(await explained([])).toEqual({
      service: null,
      backend: null,
      steps: ['No service takes tcp 10.9.0.1:80.'],
    })
    const spec = virtualService({ destinations: [destination(1)] })
    const stranger = await explained([spec], [], [])
    expect(stranger).toMatchObject({ service: null, backend: null })
    expect(stranger.steps[0]).toBe("A service that is not Torb's takes tcp 10.9.0.1:80.")
  })

  it('says that a mark cannot be told from addresses', async () => {
    const mark = virtualService({ id: 'mark', fwmark: 7, address: '', port: 0 })
    expect((await explained([mark])).steps[0]).toMatch(/^1 service goes by firewall mark/)
  })

  it('knows the connection that is there', async () => {
    const line = 'TCP 0A010105 9D2F 0A090001 0050 0A080002 0050 ESTABLISHED     899'
    const { backend, steps } = await explained([virtualService({ destinations: two })], [line])
    expect(backend).toBe('b2')
    expect(steps.at(-1)).toBe(
      'This connection is in the table (ESTABLISHED, 899 s left) and stays at 10.8.0.2:80.',
    )
  })

  it.each([
    ['keeps a client', 1, 'b2', 'Persistence keeps 10.1.1.0/24 at 10.8.0.2:80 for 299 s.'],
    [
      'lets go of weight 0',
      0,
      'b1',
      'Persistence has 10.1.1.0/24 at 10.8.0.2:80, which takes no new connections.',
    ],
  ])('knows the template that %s', async (_, weight, backend, step) => {
    const line = 'TCP 0A010100 0000 0A090001 0050 0A080002 0050 NONE            299'
    const spec = { ...sticky, destinations: [destination(1), destination(2, { weight })] }
    const explanation = await explained([spec], [line])
    expect(explanation.backend).toBe(backend)
    expect(explanation.steps).toContain(step)
  })

  it('computes where sh and dh hash to, or that they refuse', async () => {
    for (const scheduler of ['sh', 'dh'] as const) {
      const { backend } = await explained([virtualService({ scheduler, destinations: two })])
      expect(['b1', 'b2']).toContain(backend)
      const drained = two.map((one) => (one.id === backend ? { ...one, weight: 0 } : one))
      const without = await explained([virtualService({ scheduler, destinations: drained })])
      expect(without.backend).toBe(null)
      expect(without.steps.at(-1)).toContain('takes no new connections; a client is refused')
    }
  })
})
