import { describe, expect, it } from 'vitest'
import { injectedApi } from '../../test/fixtures/api.ts'
import { memoryControl } from '../../test/fixtures/memoryControl.ts'
import { NetworkPlane } from '../../test/fixtures/networkPlane.ts'
import type { ConfiguredService } from '../control/control.ts'
import { parseConfig, type Format } from '../sources/file/config.ts'
import type { ServiceOptions } from '../model/service.ts'
import type { WireServiceInFull } from './inventory.ts'
import { planSteps } from './steps.ts'

const options = {
  host: '10.9.0.1',
  port: 80,
  method: 'sh',
  plane: 'ovn',
  attach: { switches: ['inside'], routers: ['edge1'], groups: ['all'] },
  ovn: {
    when_empty: 'event',
    affinity: 'learned',
    slots: 32,
    hairpin_snat_ip: '10.9.0.9',
    force_snat: 'router_ip',
    add_route: true,
    neighbor_responder: 'all',
    check_source: '10.8.0.254',
    template: { hv1: '10.9.1.1' },
  },
}

const yaml = `
ovn_nb: unix:/run/ovn/ovnnb_db.sock
ovn_sb: [tcp:10.0.0.1:6642, 'ssl:[2001:db8::1]:6642']
ovn_owner: east
observe: true
services:
  web:
    host: 10.9.0.1
    port: 80
    method: sh
    plane: ovn
    attach: { switches: [inside], routers: [edge1], groups: [all] }
    ovn:
      when_empty: event
      affinity: learned
      slots: 32
      hairpin_snat_ip: 10.9.0.9
      force_snat: router_ip
      add_route: true
      neighbor_responder: all
      check_source: 10.8.0.254
      template: { hv1: 10.9.1.1 }
`
const toml = `
[services.web]
host = "10.9.0.1"
port = 80
method = "sh"
plane = "ovn"
attach = { switches = ["inside"], routers = ["edge1"], groups = ["all"] }
[services.web.ovn]
when_empty = "event"
affinity = "learned"
slots = 32
hairpin_snat_ip = "10.9.0.9"
force_snat = "router_ip"
add_route = true
neighbor_responder = "all"
check_source = "10.8.0.254"
template.hv1 = "10.9.1.1"
`
const texts: [Format, string][] = [
  ['yaml', yaml],
  ['toml', toml],
  ['json', JSON.stringify({ services: { web: options } })],
]

const read = (format: Format, text: string) => {
  const result = parseConfig(text, format, `torb.${format}`)
  if (!result.ok) throw new Error(result.errors.join('\n'))
  return result
}

describe('what a service says of its virtual network', () => {
  it.each(texts)(
    'reaches the plane from a file in %s, is stored, and shown as it was given',
    async (format, text) => {
      const wanted: readonly ConfiguredService[] = read(format, text).services
      const plane = new NetworkPlane()
      await using api = await injectedApi([], undefined, plane)
      expect(await api.control.replaceConfigured(wanted)).toMatchObject({ ok: true })
      expect(plane.held.get('web')).toMatchObject({ attach: options.attach, ovn: options.ovn })

      const shown = JSON.parse((await api.request('GET', '/service?full')).body) as WireServiceInFull[]
      expect(shown[0]?.options).toMatchObject({ attach: options.attach, ovn: options.ovn })
      const held = new Map(
        shown.map((service) => [
          service.id,
          {
            options: service.options as unknown as ServiceOptions,
            configured: true,
            backends: new Map(),
          },
        ]),
      )
      expect(planSteps(held, wanted, true)).toEqual([])
      const other = wanted.map((service) => ({
        ...service,
        options: { ...service.options, attach: { switches: ['dmz'] } },
      }))
      expect(planSteps(held, other, true)).toMatchObject([
        { method: 'PATCH', path: '/service/web', body: { attach: { switches: ['dmz'] } } },
      ])

      await api.control.close()
      const asked = plane.batches.length
      const again = await memoryControl(api.store, plane)
      expect(again.service('web')?.options).toMatchObject({ attach: options.attach, ovn: options.ovn })
      expect(plane.batches.length).toBe(asked)
      await again.close()
    },
  )

  it("the daemon's own options are read as lists", () => {
    expect(read('yaml', yaml).options).toMatchObject({
      ovn_nb: ['unix:/run/ovn/ovnnb_db.sock'],
      ovn_sb: ['tcp:10.0.0.1:6642', 'ssl:[2001:db8::1]:6642'],
      ovn_owner: 'east',
      observe: true,
    })
    const empty = parseConfig('ovn_vswitchd: "/run/a,,/run/b"\n', 'yaml', 'torb.yaml')
    expect(empty.ok ? [] : empty.errors).toEqual([
      expect.stringMatching(/ovn_vswitchd must have a path before and after each comma/),
    ])
    const wrong = parseConfig('ovn_nb: 10.0.0.1:6641\n', 'yaml', 'torb.yaml')
    expect(wrong.ok ? [] : wrong.errors).toEqual([
      expect.stringMatching(/^torb\.yaml:1:9: .*unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT/),
    ])
  })
})
