import { describe, expect, it } from 'vitest'
import type { InstanceHealth } from '../control/functionHealth.ts'
import type { FunctionState } from '../gateway/gateway.ts'
import type { FunctionSpec } from '../model/function.ts'
import type { GatewayRules } from './functionFacts.ts'
import { explainRequest, type RequestExplanation, type Situation } from './requestExplanation.ts'

const rules: GatewayRules = { zones: ['zone-b'], dummy: false, hopLimit: 1, vouched: 'signed' }

interface InstanceNow {
  readonly text?: string
  readonly weight?: number
  readonly inForce?: number
  readonly active?: number
  readonly out?: 'unresolved' | 'ejected' | 'down'
  readonly gateway?: boolean
}

/** A function f of these instances, a to z. */
function situation(
  instances: readonly InstanceNow[],
  spec: Partial<FunctionSpec> = {},
  waiting = 0,
): Situation {
  const all = instances.map((of, index) => ({
    weight: 1,
    active: 0,
    text: `${String.fromCharCode(97 + index)}:80`,
    ...of,
  }))
  const down: InstanceHealth = { isUp: false, reason: 'connection refused', share: 0 }
  const whole: FunctionSpec = {
    ips: all.map(({ text }) => text),
    weights: all.map(({ weight }) => weight),
    ...spec,
  }
  return {
    published: {
      name: 'f',
      owner: 'etcd',
      zone: 'zone-b',
      spec: whole,
      overlay: null,
      instances: all.map(({ text, out }) => ({
        text,
        address: out === 'unresolved' ? '' : '192.0.2.1',
        port: 80,
      })),
    },
    claims: [{ owner: 'etcd', zone: 'zone-b', spec: whole }],
    weights: all.map(({ weight, inForce = weight }) => inForce),
    health: (instance) => (all.find(({ text }) => text === instance)?.out === 'down' ? down : null),
    state: {
      waiting,
      instances: all.map(({ text, active, out, gateway = false }) => ({
        instance: text,
        active,
        isEjected: out === 'ejected',
        isGateway: gateway,
      })),
    } as unknown as FunctionState,
  }
}

const ask = (target: string, found: Situation | null, of: Partial<GatewayRules> = {}, passed = 0) =>
  explainRequest(
    { target, passed },
    { ...rules, ...of },
    found === null ? 0 : 1,
    () => found,
    () => '',
  )

const taking = ({ instances }: RequestExplanation) =>
  instances.flatMap(({ instance, share, out }) => (out === '' ? [`${instance} ${share}`] : []))

describe('what the gateway answers by itself', () => {
  it.each([
    ['/function/f/x', { dummy: true }, 200, /dummy/],
    ['/function/f', {}, 404, /no function "f" in zone zone-b/],
    ['/functions', {}, 404, /not \/function\/NAME/],
    ['/', {}, 404, /not \/function\/NAME/],
    ['/function//f?a=//', {}, 301, /sent to \/function\/f\?a=\/\/\./],
  ] as const)('%s %o: %i', (target, of, status, reason) => {
    const found = ask(target, null, of)
    expect([found.function, found.status, found.path, found.instances]).toEqual([null, status, '', []])
    expect(found.steps.at(-1)).toMatch(reason)
  })

  it('tells why what a source has of it cannot be used', () => {
    const found = explainRequest(
      { target: '/function/f', passed: 0 },
      rules,
      2,
      () => null,
      () => 'k: no ips',
    )
    expect(found.steps.at(-1)).toBe('What a source has of it cannot be used: k: no ips.')
  })

  it.each<[string, readonly InstanceNow[], Partial<FunctionSpec>, number, number, RegExp]>([
    ['no instances', [], {}, 0, 503, /no instances/],
    ['no name resolves', [{ out: 'unresolved' }], {}, 0, 502, /No instance is left whose name resolves/],
    ['only gateways', [{ gateway: true }], {}, 1, 508, /Only gateways/],
    ['full', [{ active: 2 }], { limits: { in_flight: 2 } }, 0, 503, /no queue/],
    ['ejected and full', [{ active: 2, out: 'ejected' }], { limits: { in_flight: 2 } }, 0, 503, /no queue/],
  ])('%s', (_name, instances, spec, passed, status, reason) => {
    const found = ask('/function/f', situation(instances, spec), {}, passed)
    expect([found.function, found.status, found.path, taking(found)]).toEqual(['f', status, '', []])
    expect(found.steps.at(-1)).toMatch(reason)
  })
})

describe('where all are full', () => {
  const limits = { in_flight: 1, queue: 3, wait: '2s' }
  it('it waits while the queue has room', () => {
    const found = ask('/function/f', situation([{ active: 1 }], { limits }, 2))
    expect([found.status, found.path]).toEqual([null, ''])
    expect(found.steps.at(-1)).toMatch(/at most 2s, behind 2 others in a queue of 3; then 503/)
  })
  it('it is refused where the queue is full', () => {
    const found = ask('/function/f', situation([{ active: 1 }], { limits }, 3))
    expect(found.status).toBe(503)
    expect(found.steps.at(-1)).toMatch(/so is the queue: 3 of 3 wait/)
  })
})

describe('which instances take it', () => {
  it.each<[string, readonly InstanceNow[], Partial<FunctionSpec>, readonly string[], RegExp]>([
    [
      'by weight',
      [{ weight: 3 }, {}],
      {},
      ['a:80 0.75', 'b:80 0.25'],
      /Instance a:80 at 192.*weight 3, 0 req.*75 %/,
    ],
    ['all weights 0', [{ weight: 0 }, { weight: 0 }], {}, ['a:80 0.5', 'b:80 0.5'], /By turns/],
    ['a weight of 0', [{ weight: 0 }, {}], {}, ['b:80 1'], /a:80.*out: its weight is 0/],
    [
      'down',
      [{ weight: 2, inForce: 0, out: 'down' }, {}],
      {},
      ['b:80 1'],
      /weight 0 of 2 conf.*is down: conn.*refused/,
    ],
    ['all down keep their weight', [{ out: 'down' }], {}, ['a:80 1'], /takes 100 %, though it is down/],
    ['ejected', [{ out: 'ejected' }, {}], {}, ['b:80 1'], /a:80.*out: ejected for a while/],
    [
      'all ejected',
      [{ out: 'ejected' }, { out: 'ejected' }],
      {},
      ['a:80 0.5', 'b:80 0.5'],
      /All .* are ejected/,
    ],
    [
      'ejection switched off',
      [{ out: 'ejected' }, {}],
      { ejection: null },
      ['a:80 0.5', 'b:80 0.5'],
      /By turns/,
    ],
    [
      'full',
      [{ active: 1 }, {}],
      { limits: { in_flight: 1 } },
      ['b:80 1'],
      /out: full, with 1 of at most 1 requests/,
    ],
    [
      'least-request',
      [{ active: 4, weight: 4 }, { active: 3 }],
      { method: 'least-request' },
      ['a:80 1'],
      /b:80.*more requests/,
    ],
    [
      'hash',
      [{}, {}],
      { method: 'hash', hash_header: 'X-Id' },
      ['a:80 0.5', 'b:80 0.5'],
      /By the field X-Id, else/,
    ],
    [
      'a gateway among them',
      [{}, { gateway: true }],
      {},
      ['a:80 0.5', 'b:80 0.5'],
      /path and query unchanged/,
    ],
  ])('%s', (_name, instances, spec, expected, step) => {
    const found = ask('/function/f/x?y=1', situation(instances, spec))
    expect([found.status, found.path, taking(found)]).toEqual([null, '/x?y=1', expected])
    expect(found.steps.join('\n')).toMatch(step)
  })

  it.each([
    ['signed', 1, ['a:80 1'], /It has passed 1 of at most 1 gateways: no further one/],
    ['unsigned', 5, ['a:80 1'], /It has passed 1 of at most 1/],
    ['nobody', 1, ['a:80 0.5', 'b:80 0.5'], /Nobody vouches/],
    ['signed', 0, ['a:80 0.5', 'b:80 0.5'], /passed 0 of at most 1/],
  ] as const)('of gateways that are %s, %i passed', (vouched, passed, expected, step) => {
    const found = ask('/function/f', situation([{}, { gateway: true }]), { vouched }, passed)
    expect(taking(found)).toEqual(expected)
    expect(found.steps.join('\n')).toMatch(step)
  })

  it.each([
    ['/function/f', '/'],
    ['/function/f/', '/'],
    ['/function/f?a=1', '/?a=1'],
    ['/function/f/a%2Fb/c?d', '/a%2Fb/c?d'],
  ])('%s is asked for as %s', (target, path) => {
    expect(ask(target, situation([{}])).path).toBe(path)
  })
})
