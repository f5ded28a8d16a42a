import { expect, it } from 'vitest'
import { renderPlanes, type Planes } from './planesView.ts'

const can: Planes['planes'][number]['can'] = {
  schedulers: [],
  spread: 'exact' as const,
  checks: [],
  flags: [],
  forwarding: [],
  tunnels: [],
  protocols: [],
  families: [4],
  any_port: false,
  fwmark: false,
  persistence: false,
  max_connections: false,
  thresholds: false,
  proxy_protocol: false,
  attach: false,
  active_connections: false,
  survives_exit: false,
}

const plane = (name: string, fields: Partial<Planes['planes'][number]> = {}) => ({
  name,
  services: 0,
  failing: 0,
  audited_at: null,
  problem: '',
  foreign: [],
  facts: {},
  can,
  ...fields,
})

it('shows planes, what they tell, the entries of others and announcers', () => {
  const answer: Planes = {
    version: '1',
    planes: [
      plane('ipvs', {
        services: 12,
        failing: 1,
        audited_at: '2026-11-21T14:59:07.002Z',
        facts: { timeouts: { tcp: 900, tcpfin: 120 }, sync: ['master'], version: '1.2.1' },
        foreign: [
          {
            id: 'tcp 10.0.0.9:80',
            family: 4,
            options: { host: '10.0.0.9', port: 80, protocol: 'tcp', method: 'mh', flags: '' },
            backends: [
              { id: 'a', options: { host: '10.0.1.1', port: 80, weight: 1, method: 'nat' } },
              { id: 'b', options: { host: '2001:db8::1', port: 0, weight: 0, method: 'dr' } },
            ],
          },
        ],
      }),
      plane('userspace', { problem: 'it does not answer\u001b[2J' }),
    ],
    announcers: [
      {
        name: 'consul',
        url: 'http://127.0.0.1:8500',
        state: 'unreachable',
        since: '2026-11-21T14:58:41.310Z',
        message: 'connect ECONNREFUSED',
        pending: 3,
      },
    ],
  }
  expect(renderPlanes(answer, false).join('\n')).toMatchInlineSnapshot(`
    "PLANE      SERVICES  FAILING  FOREIGN  AUDITED              PROBLEM
    ipvs             12        1        1  2026-11-21 14:59:07
    userspace         0        0        ?  -                    it does not answer·[2J

    PLANE  FACT      VALUE
    ipvs   timeouts  tcp 900, tcpfin 120
    ipvs   sync      master
    ipvs   version   1.2.1

    PLANE  FOREIGN          SCHEDULER  BACKENDS
    ipvs   tcp 10.0.0.9:80  mh         10.0.1.1:80 nat 1, 2001:db8::1 dr 0

    ANNOUNCER  STATE        PENDING  SINCE                URL                    MESSAGE
    consul     unreachable        3  2026-11-21 14:58:41  http://127.0.0.1:8500  connect ECONNREFUSED"
  `)
})

it('leaves out what there is nothing of', () => {
  const lines = renderPlanes({ version: '1', planes: [plane('userspace')], announcers: [] }, false)
  expect(lines).toEqual([
    'PLANE      SERVICES  FAILING  FOREIGN  AUDITED  PROBLEM',
    'userspace         0        0        0  -',
  ])
})

it('shows who lags behind, what drifted, and the names that entries of others have', () => {
  const planes = [
    plane('ovn', {
      services: 3,
      drifted: 1,
      facts: {
        northbound: { connected: true, since: 1_795_296_343_670, problem: '' },
        chassis: [
          { name: 'hv1', nb_cfg: 9 },
          { name: 'hv2', nb_cfg: 8 },
        ],
        lagging: ['hv1', 'hv2'],
        cannot_select_by: [],
      },
      lag: { services: 2, since: '2026-11-21T14:59:07.002Z', lagging: { hv1: 2, hv2: 1 } },
      foreign: [
        {
          id: 'web',
          family: 4,
          options: { host: '10.0.0.9', port: 80, protocol: 'tcp', method: 'wrr', flags: '' },
          backends: [],
        },
      ],
    }),
    plane('idle', { lag: { services: 0, since: null, lagging: {} } }),
  ]
  expect(renderPlanes({ version: '1', planes, announcers: [] }, false).join('\n')).toMatchInlineSnapshot(`
    "PLANE  SERVICES  FAILING  FOREIGN  AUDITED  PROBLEM
    ovn           3        0        1  -        1 drifted
    idle          0        0        0  -

    PLANE  NOT IN EFFECT  SINCE                LAGGING
    ovn                2  2026-11-21 14:59:07  hv1 2, hv2 1

    PLANE  FACT              VALUE
    ovn    northbound        connected true, since 2026-11-21 21:25:43
    ovn    chassis           name hv1, nb_cfg 9; name hv2, nb_cfg 8
    ovn    lagging           hv1, hv2
    ovn    cannot_select_by  -

    PLANE  FOREIGN                SCHEDULER  BACKENDS
    ovn    web (tcp 10.0.0.9:80)  wrr"
  `)
})
