import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { injectedApi } from '../../../test/fixtures/api.ts'
import { Exposition, labels, numeral } from './exposition.ts'

/** One line of the text format: name, labels unescaped, value. */
function parseSample(line: string): { name: string; labels: Record<string, string>; value: string } {
  const parts = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/s.exec(line)
  const found: Record<string, string> = {}
  for (const [, name = '', value = ''] of (parts?.[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/gs)) {
    found[name] = value.replace(/\\(.)/g, (_all, character: string) => (character === 'n' ? '\n' : character))
  }
  return { name: parts?.[1] ?? '', labels: found, value: parts?.[3] ?? '' }
}

describe('Exposition', () => {
  it('escapes labels so that they are read back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom('\\', '"', '\n', ''), (text, special) => {
        const value = text + special + text
        const out = new Exposition()
        out.sample('m', labels({ a: value, b: 1 }), 2)
        const all = out.take()
        expect(all.slice(0, -1)).not.toContain('\n')
        expect(parseSample(all.slice(0, -1))).toEqual({ name: 'm', labels: { a: value, b: '1' }, value: '2' })
      }),
    )
  })

  it('spells numbers as Go does', () => {
    expect([0.5, 1e21, Infinity, -Infinity, Number.NaN].map(numeral)).toEqual([
      '0.5',
      '1e+21',
      '+Inf',
      '-Inf',
      'NaN',
    ])
  })
})

describe('/metrics', () => {
  it("has GORB's names and labels, Torb's and the process's, each family once and well named", async () => {
    await using api = await injectedApi()
    await api.request('PUT', '/service/a"b', { host: '10.0.0.1', port: 80 })
    await api.request('PUT', '/service/a"b/x', {
      host: '10.0.0.2',
      port: 81,
      weight: 7,
      pulse: { type: 'none' },
    })
    const counted = api.plane.counters.bind(api.plane)
    api.plane.counters = async () => {
      const counters = new Map(await counted())
      const [service] = counters.values()
      const x = service?.destinations.get('x')
      if (service === undefined || x === undefined) throw new Error('the plane lost it')
      const connect = { count: 6, sum: 2_500_000, buckets: [1, 0, 2, 0, 0, 0, 0, 0, 0, 1] }
      return new Map([['a"b', { ...service, bytesIn: 5, destinations: new Map([['x', { ...x, connect }]]) }]])
    }
    const answer = await api.request('GET', '/metrics')
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    const lines = answer.body.trimEnd().split('\n')
    expect(lines).toEqual(
      expect.arrayContaining([
        'gorb_service_health{service_name="a\\"b",service_host="10.0.0.1",service_port="80",protocol="tcp"} 0',
        'gorb_service_backends{service_name="a\\"b",service_host="10.0.0.1",service_port="80",protocol="tcp"} 1',
        'gorb_service_backend_weight{service_name="a\\"b",backend_name="x",backend_host="10.0.0.2",backend_port="81"} 7',
        'gorb_service_backend_status{service_name="a\\"b",backend_name="x",backend_host="10.0.0.2",backend_port="81"} 0',
        'torb_service_received_bytes_total{service="a\\"b"} 5',
        'torb_service_reconciled{service="a\\"b"} 1',
        'torb_plane_services{plane="userspace"} 1',
        'torb_events_total{type="backend-created"} 1',
        'torb_backend_connect_duration_seconds_bucket{service="a\\"b",backend="x",le="0.0001"} 1',
        'torb_backend_connect_duration_seconds_bucket{service="a\\"b",backend="x",le="0.0005"} 3',
        'torb_backend_connect_duration_seconds_bucket{service="a\\"b",backend="x",le="1"} 4',
        'torb_backend_connect_duration_seconds_bucket{service="a\\"b",backend="x",le="+Inf"} 6',
        'torb_backend_connect_duration_seconds_sum{service="a\\"b",backend="x"} 2.5',
      ]),
    )
    const families = lines.flatMap((line) => /^# TYPE (\S+) (\S+)$/.exec(line)?.slice(1).join(' ') ?? [])
    expect(new Set(families).size).toBe(families.length)
    for (const family of families) {
      const [name = '', type] = family.split(' ')
      expect(name.endsWith('_total'), family).toBe(type === 'counter')
    }
    for (const needed of [
      'process_cpu_seconds_total counter',
      'process_resident_memory_bytes gauge',
      'process_open_fds gauge',
      'nodejs_eventloop_lag_seconds gauge',
      'nodejs_heap_size_used_bytes gauge',
      'torb_build_info gauge',
    ]) {
      expect(families).toContain(needed)
    }
    // Samples stand under the family they belong to.
    let current = ''
    for (const line of lines) {
      if (line.startsWith('# TYPE')) current = line.split(' ')[2] ?? ''
      else if (!line.startsWith('#'))
        expect(parseSample(line).name.replace(/_(bucket|sum|count)$/, '')).toBe(current)
    }
  })
})
