import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { listeningApi, type ListeningApi } from '../../test/fixtures/api.ts'
import { exit } from './exit.ts'
import { bodyFlags, readBody } from './functionBody.ts'
import { renderFunction, renderFunctions } from './functionsView.ts'
import { parseFlags } from './goFlags.ts'
import { commands } from './index.ts'
import { runCommand } from '../../test/fixtures/commandLine.ts'

let api: ListeningApi
beforeAll(async () => {
  api = await listeningApi()
})
afterAll(async () => api[Symbol.asyncDispose]())
beforeEach(async () => {
  for (const name of api.functions.table.names()) await api.functions.table.remove(name)
})

/** The command against an API that listens. */
const torb = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  runCommand(commands, 'functions', '--api', api.api.url, ...args)

const done = { code: 0, out: '', err: '' }
const spec = (name: string) => api.functions.table.function(name)?.spec

describe('torb functions', () => {
  it('puts, shows, reweighs and takes back', async () => {
    expect((await torb()).out).toBe('no functions\n\nno gateway runs in this Torb: functions are only kept\n')
    expect(await torb('put', 'resnet', '127.0.0.1:9001=3', '127.0.0.1:9002', '--method', 'wrr')).toEqual(done)
    expect(spec('resnet')).toEqual({
      ips: ['127.0.0.1:9001', '127.0.0.1:9002'],
      weights: [3, 1],
      method: 'wrr',
    })
    expect((await torb()).out).toMatchInlineSnapshot(`
      "FUNCTION  INSTANCE          STATUS  WEIGHT ACTIVE REQUESTS FAILED P50 P99
      resnet    wrr rest
                  127.0.0.1:9001  -            3
                  127.0.0.1:9002  -            1

      no gateway runs in this Torb: functions are only kept
      "
    `)
    expect(await torb('weights', 'resnet', '127.0.0.1:9002=0.5')).toEqual(done)
    expect(spec('resnet')?.weights).toEqual([3, 0.5])
    expect((await torb('show', 'resnet')).out).toMatchInlineSnapshot(`
      "FUNCTION  INSTANCE          STATUS  WEIGHT ACTIVE REQUESTS FAILED P50 P99
      resnet    wrr rest
                  127.0.0.1:9001  -            3
                  127.0.0.1:9002  -          0.5

      SOURCE  ZONE  DECIDES  INSTANCES
      rest          yes      127.0.0.1:9001=3 127.0.0.1:9002=0.5
      "
    `)
    const shown = JSON.parse((await torb('show', 'resnet', '--json')).out) as { source: string }
    expect(shown.source).toBe('rest')
    const listed = JSON.parse((await torb('--json')).out) as { functions: object[] }
    expect(listed.functions).toHaveLength(1)
    expect(await torb('rm', 'resnet')).toEqual(done)
    expect(api.functions.table.names()).toEqual([])
  })

  it('shows what is rejected, and confirms', async () => {
    const etcd = api.functions.table.source('etcd')
    expect((await torb('--rejected')).out).toBe('no key is rejected\n')
    etcd.reject('golb/function/zone-b/f\u001b[2J', 'the value is not JSON')
    expect((await torb('--rejected')).out).toMatch(
      /^etcd +golb\/function\/zone-b\/f·\[2J +\d{4}-\d\d-\d\d \S+ +the value is not JSON$/m,
    )
    expect(JSON.parse((await torb('--rejected', '--json')).out)).toHaveLength(1)
    etcd.settle('golb/function/zone-b/f\u001b[2J')
    for (const [changes, text] of [
      [1, '1 function changed\n'],
      [2, '2 functions changed\n'],
    ] as const) {
      api.functions.etcd = { status: () => ({ zones: [] }), confirm: () => changes }
      expect(await torb('confirm')).toEqual({ ...done, out: text })
    }
    api.functions.etcd = null
    expect(await torb('confirm', 'file')).toMatchObject({ code: exit.failed, out: '' })
  })

  it.each([
    [['list', 'x'], 64, '"x" is one operand too many: torb functions'],
    [['show'], 64, 'NAME is missing: torb functions show NAME'],
    [['show', 'a', 'b'], 64, '"b" is one operand too many: torb functions show NAME'],
    [
      ['resnet'],
      64,
      '"resnet" is none of show, put, weights, rm, confirm: to see a function, "torb functions show resnet"',
    ],
    [['put'], 64, 'NAME is missing: torb functions put NAME HOST:PORT[=WEIGHT] ...'],
    [['put', 'f'], 64, 'INSTANCE is missing: torb functions put f HOST:PORT[=WEIGHT] ...'],
    [
      ['put', 'f', 'a.test=-1'],
      64,
      '"a.test=-1" is not INSTANCE=WEIGHT, such as 127.0.0.1:9001=3: a weight is a number from 0 up',
    ],
    [
      ['put', 'f', '=1'],
      64,
      '"=1" is not INSTANCE=WEIGHT, such as 127.0.0.1:9001=3: a weight is a number from 0 up',
    ],
    [
      ['put', 'f', 'a.test', '--no-ejection', '--eject-for', '2s'],
      64,
      '--no-ejection and the flags of ejection exclude each other',
    ],
    [['put', 'f', '--method', 'rr'], 64, '--method cannot be "rr": it takes one of wrr, least-request, hash'],
    [['weights', 'f'], 64, 'INSTANCE=WEIGHT is missing: torb functions weights NAME INSTANCE=WEIGHT ...'],
    [
      ['weights', 'f', 'a.test'],
      64,
      '"a.test" is not INSTANCE=WEIGHT, such as 127.0.0.1:9001=3: a weight is a number from 0 up',
    ],
    [['rm', 'f', '--queue', '1'], 64, '--queue is for "torb functions put"'],
    [['rm', 'f', '--rejected'], 64, '--rejected stands alone: torb functions --rejected'],
    [['confirm', 'etcd', 'x'], 64, '"x" is one operand too many: torb functions confirm'],
    [
      ['show', 'nobody'],
      1,
      'GET /functions/nobody: no function "nobody" is in force: "torb functions" lists those there are (status 404)',
    ],
    [
      ['rm', 'nobody'],
      1,
      'DELETE /functions/nobody: no function "nobody" is in force: "torb functions" lists those there are (status 404)',
    ],
    [
      ['put', 'f', '127.0.0.1:4672=1'],
      1,
      "PUT /functions/f: instance 127.0.0.1:4672 is Torb's own API: balancing to it would let strangers in as local; name the port of a server (status 400)",
    ],
    [
      ['weights', 'nobody', 'a.test=1'],
      1,
      'GET /functions/nobody: no function "nobody" is in force: "torb functions" lists those there are (status 404)',
    ],
  ])('%j', async (args, code, sentence) => {
    expect(await torb(...args)).toEqual({ code, out: '', err: `torb functions: ${sentence}\n` })
    expect(api.functions.table.names()).toEqual([])
  })

  it('weights of an instance that is not there are refused, with those that are', async () => {
    await torb('put', 'f', '10.0.0.1:80=1', '10.0.0.2:80=1')
    expect((await torb('weights', 'f', '10.0.0.3:80=1')).err).toBe(
      'torb functions: function "f" has no instance 10.0.0.3:80: it has 10.0.0.1:80, 10.0.0.2:80\n',
    )
    expect(spec('f')?.weights).toEqual([1, 1])
  })
})

it('the flags of put make the body', () => {
  const args =
    '--method hash --hash-header X-A --in-flight 4 --queue 9 --wait 2s --retries 0 --eject-after 3 --eject-for 2s --eject-most 9s'
  const body = (text: string) => {
    const parsed = parseFlags(text.split(' '), bodyFlags)
    if (parsed.kind !== 'run') throw new TypeError('the flags are wrong')
    return readBody(['[2001:db8::1]:80=0.5', 'a=b.test=2'], parsed.flags)
  }
  const ips = ['[2001:db8::1]:80', 'a=b.test']
  expect(body(args)).toEqual({
    ips,
    weights: [0.5, 2],
    method: 'hash',
    hash_header: 'X-A',
    limits: { in_flight: 4, queue: 9, wait: '2s' },
    retries: 0,
    ejection: { failures: 3, base: '2s', max: '9s' },
  })
  expect(body('--no-ejection')).toEqual({ ips, weights: [0.5, 2], ejection: null })
})

describe('the view', () => {
  const statistics = {
    active: 2,
    ejected: false,
    requests: 1200,
    retries: 1,
    failures: 3,
    responses: { '1xx': 0, '2xx': 1198, '3xx': 0, '4xx': 0, '5xx': 0 },
    bytes_in: 0,
    bytes_out: 0,
    response_ms: { mean: 2.2, p50: 1.25, p99: 812.4 },
  }
  const instance = { address: '10.0.0.1', port: 80, weight: 1, health: null, statistics }
  const found = {
    name: 'resnet',
    source: 'etcd' as const,
    zone: 'zone-b',
    options: { ips: ['a', 'b', 'c', 'd', 'e'], weights: [1, 2, 1, 1, 1], method: 'wrr' },
    feedback: true,
    instances: [
      { ...instance, instance: 'a', health: { up: true, reason: '', share: 1 } },
      {
        ...instance,
        instance: 'b',
        weight: 0,
        health: { up: false, reason: 'connection refused', share: 0 },
      },
      { ...instance, instance: 'c', statistics: { ...statistics, ejected: true, response_ms: null } },
      { ...instance, instance: 'd', health: { up: true, reason: '', share: 0.4 } },
      { ...instance, instance: 'e', address: '' },
    ],
    statistics: { waiting: 4, overloaded: 0, expired: 1, unavailable: 0, loops: 0 },
  }

  it('has statuses, weights in force, times, and what came to no instance; sources by zone', () => {
    const zone = { message: '', endpoint: '', revision: 1, held: null }
    const lines = renderFunctions(
      {
        gateway: { port: 8080, transport: 'ring', portable_reason: '', workers: 2 },
        sources: [
          {
            source: 'etcd',
            state: 'stale',
            message: 'x',
            age: 130,
            functions: 7,
            rejected: 1,
            zones: [
              { ...zone, zone: 'zone-b', state: 'current', age: 0.2 },
              { ...zone, zone: 'zone-c', state: 'stale', age: 7300, message: 'it does not answer' },
              { ...zone, zone: 'zone-d', state: 'starting', age: null },
            ],
          },
          { source: 'file', state: 'current', message: '', age: 130, functions: 1, rejected: 0, zones: [] },
        ],
        total: 1,
        functions: [found],
      },
      false,
    )
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      "FUNCTION  INSTANCE                  STATUS   WEIGHT ACTIVE REQUESTS FAILED P50 P99  REASON
      resnet    wrr etcd/zone-b feedback                             6005     15          4 waiting, 1 expired
                  a                       Up            1      2     1201      3 1.3 812
                  b                       Down        0/2      2     1201      3 1.3 812  connection refused
                  c                       Ejected       1      2     1201      3
                  d                       Rising        1      2     1201      3 1.3 812
                  e                       Unknown       1      2     1201      3 1.3 812  its name does not resolve

      SOURCE  ZONE    STATE       AGE  FUNCTIONS  REJECTED  MESSAGE
      etcd    zone-b  current     0 s          7         1
      etcd    zone-c  stale       2 h                       it does not answer
      etcd    zone-d  starting      -
      file            current   2 min          1         0"
    `)
  })

  it('shows who else has a function', () => {
    const options = { ips: ['10.0.0.1:80', '10.0.0.2:80'], weights: [3, 1], method: 'wrr' }
    const lines = renderFunction(
      {
        ...found,
        instances: [],
        statistics: null,
        sources: [
          { source: 'rest', zone: '', decides: true, options: { ...options, ips: [], weights: [] } },
          { source: 'etcd', zone: 'zone-b', decides: false, options },
        ],
        rejected: [{ source: 'etcd', key: 'k', reason: 'no', since: '2026-11-21T11:29:01.413Z' }],
      },
      false,
    )
    expect(lines.join('\n')).toMatchInlineSnapshot(`
      "FUNCTION  INSTANCE                  STATUS  WEIGHT ACTIVE REQUESTS FAILED P50 P99
      resnet    wrr etcd/zone-b feedback

      SOURCE  ZONE    DECIDES  INSTANCES
      rest            yes
      etcd    zone-b  no       10.0.0.1:80=3 10.0.0.2:80=1

      SOURCE  KEY  SINCE                REASON
      etcd    k    2026-11-21 11:29:01  no"
    `)
  })
})
