import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ConfiguredService, NewServiceBody } from '../control/control.ts'
import { readBackend, type BackendBody } from '../model/backend.ts'
import { readService, type ServiceBody } from '../model/service.ts'
import { planSteps, type HeldService } from './steps.ts'

const web: ServiceBody = { host: '10.0.0.1', port: 80 }
const one: BackendBody = { host: '10.0.1.1', port: 8080 }
const two: BackendBody = { host: '10.0.1.2', port: 8080, weight: 50 }

function file(services: Record<string, [ServiceBody, Record<string, BackendBody>]>): ConfiguredService[] {
  return Object.entries(services).map(([id, [options, backends]]) => ({
    id,
    options,
    backends: Object.entries(backends).map(([name, body]) => ({ id: name, options: body })),
  }))
}

/** What a Torb holds once the file is applied, as its answers show it. */
function held(services: readonly ConfiguredService[], configured = false): Map<string, HeldService> {
  return new Map(
    services.map(({ id, options, backends }) => [
      id,
      {
        options: readService(options, true),
        configured,
        backends: new Map(
          backends.map((backend) => [backend.id, readBackend(backend.options, options.port === 'any')]),
        ),
      },
    ]),
  )
}

const brief = (
  now: Map<string, HeldService>,
  wanted: readonly ConfiguredService[],
  prune = false,
): string[] =>
  planSteps(now, wanted, prune).map(({ method, path, body, what }) =>
    [method, path, body === undefined ? '' : JSON.stringify(body), what].filter(Boolean).join(' '),
  )

const base = file({ web: [web, { '1': one, '2': two }] })

describe('the smallest set of steps', () => {
  const cases: [what: string, wanted: ConfiguredService[], prune: boolean, steps: string[]][] = [
    ['nothing to do', base, false, []],
    ['nothing to do with prune either', base, true, []],
    ['what it does not name stays', file({}), false, []],
    ['prune', file({}), true, ['DELETE /service/web is not in the file']],
    ['a backend it does not name stays', file({ web: [web, { '1': one }] }), false, []],
    [
      'prune a backend',
      file({ web: [web, { '1': one }] }),
      true,
      ['DELETE /service/web/2 is not in the file'],
    ],
    [
      'a new service with its backends',
      file({ 'a b': [{ port: 81 }, { x: one }], c: [{ port: 82 }, { y: one, '2': two }] }).map((service) => ({
        ...service,
        // As the file has them, and no object of JavaScript.
        backends: service.backends.toReversed(),
      })),
      false,
      [
        'PUT /service/a%20b {"port":81,"backends":{"x":{"host":"10.0.1.1","port":8080}}} is new, with a backend',
        'PUT /service/c {"port":82} is new',
        'PUT /service/c/y {"host":"10.0.1.1","port":8080} is new',
        'PUT /service/c/2 {"host":"10.0.1.2","port":8080,"weight":50} is new',
      ],
    ],
    [
      'fields that differ, and only these',
      file({ web: [{ ...web, method: 'rr', protocol: 'TCP', persistent: false }, {}] }),
      false,
      ['PATCH /service/web {"method":"rr"} method wrr → rr'],
    ],
    [
      'a weight',
      file({ web: [web, { '2': { ...two, weight: 0 } }] }),
      false,
      ['PATCH /service/web/2 {"weight":0} weight 50 → 0'],
    ],
    [
      'a default written out',
      file({ web: [web, { '1': { ...one, weight: 100, method: 'NAT' } }] }),
      false,
      [],
    ],
    [
      'a pulse',
      file({ web: [web, { '1': { ...one, pulse: { interval: '5s' } } }] }),
      false,
      [
        'PATCH /service/web/1 {"pulse":{"interval":"5s"}} pulse {"type":"tcp","interval":"1m","args":null} → {"type":"tcp","interval":"5s","args":null}',
      ],
    ],
    [
      'another address of a backend',
      file({ web: [web, { '1': { ...one, port: 9090 } }] }),
      false,
      [
        'DELETE /service/web/1 port 8080 → 9090, which needs a new one',
        'PUT /service/web/1 {"host":"10.0.1.1","port":9090} is new',
      ],
    ],
    [
      'another address of the service',
      file({ web: [{ ...web, port: 81 }, { '1': one }] }),
      false,
      [
        'DELETE /service/web port 80 → 81, which needs a new one',
        'PUT /service/web {"host":"10.0.0.1","port":81,"backends":{"1":{"host":"10.0.1.1","port":8080}}} is new, with a backend',
      ],
    ],
    [
      'an address moves to another name: first those that go',
      file({ new: [web, {}] }),
      true,
      ['DELETE /service/web is not in the file', 'PUT /service/new {"host":"10.0.0.1","port":80} is new'],
    ],
    [
      'a replaced backend: the new one first',
      file({ web: [web, { '1': one, '3': { host: '10.0.1.3', port: 1 } }] }),
      true,
      ['PUT /service/web/3 {"host":"10.0.1.3","port":1} is new', 'DELETE /service/web/2 is not in the file'],
    ],
    [
      'a firewall mark instead of an address',
      file({ web: [{ fwmark: 7 }, {}] }),
      false,
      ['DELETE /service/web fwmark none → 7, which needs a new one', 'PUT /service/web {"fwmark":7} is new'],
    ],
  ]
  it.each(cases)('%s', (_, wanted, prune, steps) => {
    expect(brief(held(base), wanted, prune)).toEqual(steps)
  })

  it('creates very many backends one by one, which no body could hold', () => {
    const many = Object.fromEntries(
      Array.from({ length: 9000 }, (_, n) => [`b${n}`, { ...one, port: n + 1 }]),
    )
    const steps = planSteps(new Map(), file({ web: [web, many] }), false)
    expect(steps.map(({ path }) => path.split('/').length)).toEqual([3, ...Array<number>(9000).fill(4)])
  })

  it('leaves to the configuration file of the daemon what is its own', () => {
    expect(brief(held(base, true), [], true)).toEqual([])
  })
})

const serviceBodies = fc.record({
  host: fc.constantFrom('10.0.0.1', '10.0.0.2'),
  port: fc.integer({ min: 1, max: 3 }),
  method: fc.constantFrom('rr', 'wrr', 'lc'),
})
const backendBodies = fc.record(
  {
    host: fc.constantFrom('10.1.0.1', '10.1.0.2'),
    port: fc.constant(80),
    weight: fc.integer({ min: 0, max: 3 }),
  },
  { requiredKeys: ['host', 'port'] },
)
const files = fc
  .dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.tuple(serviceBodies, fc.dictionary(fc.constantFrom('x', 'y', 'z'), backendBodies)),
  )
  .map(file)

/** Does what the API does for these bodies. */
function perform(
  now: Map<string, HeldService>,
  steps: ReturnType<typeof planSteps>,
): Map<string, HeldService> {
  const state = new Map(
    [...now].map(([id, service]) => [id, { ...service, backends: new Map(service.backends) }]),
  )
  for (const { method, path, body = {} } of steps) {
    const [, , id = '', backend] = path.split('/')
    const service = state.get(id)
    if (backend === undefined) {
      if (method === 'DELETE') expect(state.delete(id)).toBe(true)
      else if (method === 'PUT') {
        expect(service).toBeUndefined()
        const { backends = {}, ...options } = body as NewServiceBody
        state.set(id, {
          options: readService(options, true),
          configured: false,
          backends: new Map(
            Object.entries(backends).map(([name, given]) => [name, readBackend(given, false)]),
          ),
        })
      } else if (service !== undefined)
        state.set(id, { ...service, options: { ...service.options, ...body } })
    } else {
      const old = service?.backends.get(backend)
      if (method === 'DELETE') expect(service?.backends.delete(backend)).toBe(true)
      else if (method === 'PUT') {
        expect(old).toBeUndefined()
        service?.backends.set(backend, readBackend(body, false))
      } else if (old !== undefined) service?.backends.set(backend, { ...old, ...body })
    }
  }
  return state
}

it('leads from any state to what the file wants, and then has nothing to do', () => {
  fc.assert(
    fc.property(files, files, fc.boolean(), (before, wanted, prune) => {
      const now = held(before)
      const after = perform(now, planSteps(now, wanted, prune))
      expect(planSteps(after, wanted, prune)).toEqual([])
      if (prune) expect([...after.keys()].sort()).toEqual(wanted.map(({ id }) => id).sort())
      else expect([...now.keys()].every((id) => after.has(id))).toBe(true)
    }),
  )
})
