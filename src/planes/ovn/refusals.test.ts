import { describe, expect, it } from 'vitest'
import { flagBit } from '../../model/names.ts'
import { plainDestination, plainService } from '../plain.ts'
import type { VirtualService } from '../plane.ts'
import { lacks, wrong } from './refusals.ts'

const attach = { switches: ['inside'], routers: [], groups: [] }
const onRouter = { switches: [], routers: ['edge1'], groups: [] }
const service = (fields: Partial<VirtualService>): VirtualService =>
  plainService({ attach, destinations: [plainDestination('10.0.0.2')], ...fields })
const six = { address: '2001:db8::1', family: 6, destinations: [plainDestination('2001:db8::2')] } as const
const kept = { timeout: 300, prefix: 32 }
const check = { type: 'tcp', intervalMs: 1000, timeoutMs: 1000, rise: 1, fall: 1, decides: true } as const

describe('what OVN would take silently is refused', () => {
  it.each<[string, Partial<VirtualService>, string]>([
    [
      'a virtual address of nobody',
      { address: '0.0.0.0' },
      'cannot be at 0.0.0.0: 0.0.0.0 stands for no address; give host',
    ],
    ['a multicast address', { address: '224.0.0.5' }, 'is no address of one host'],
    [
      'a backend of the other family',
      { destinations: [plainDestination('2001:db8::2')] },
      'is not an IPv4 address',
    ],
    [
      'a backend on a loopback',
      { destinations: [plainDestination('127.0.0.1')] },
      'is the loopback of whoever uses it',
    ],
    ['a backend without port', { destinations: [plainDestination('10.0.0.2', { port: 0 })] }, 'has no port'],
    [
      'a backend with port where the service has none',
      { port: 'any' },
      'has port 80, and a service of any port',
    ],
    [
      'a backend twice',
      {
        destinations: [plainDestination('10.0.0.2', { id: 'a' }), plainDestination('10.0.0.2', { id: 'b' })],
      },
      'two backends are at 10.0.0.2:80; remove one of them',
    ],
    [
      'more backends than slots',
      { ovn: { slots: 2 }, destinations: [2, 3, 4].map((n) => plainDestination(`10.0.0.${n}`)) },
      '3 backends do not fit the 2 slots of the service; set "ovn": {"slots": N}',
    ],
    [
      'networks of clients',
      { persistence: { timeout: 300, prefix: 24 } },
      'no networks of them (persistence.netmask /24)',
    ],
    ['affinity of nobody', { ovn: { affinity: 'learned' } }, 'the service keeps none; give persistence too'],
    [
      'longer than OVN can learn',
      { persistence: { timeout: 70_000, prefix: 32 }, ovn: { affinity: 'learned' } },
      'for 65535 s at most',
    ],
    [
      'clients kept together and spread',
      { scheduler: 'sh', flags: flagBit.port, persistence: kept },
      'the flag sh-port spreads the connections of a client',
    ],
    [
      'ports hashed where there are none',
      { scheduler: 'mh', flags: flagBit.port, port: 'any', destinations: [] },
      'cannot hash ports where the service has none',
    ],
    [
      'a hairpin address of the other family',
      { ovn: { hairpin_snat_ip: '2001:db8::9' } },
      'it has to be an IPv4 address',
    ],
    [
      'a hairpin address that is none',
      { ovn: { hairpin_snat_ip: 'vip' } },
      'hairpin_snat_ip cannot be "vip"',
    ],
    [
      'three hairpin addresses',
      { ovn: { hairpin_snat_ip: '10.0.0.8 10.0.0.9' } },
      'it has to be an IPv4 address',
    ],
    [
      'check_source that is none',
      { ovn: { check_source: 'zzz' } },
      'check_source cannot be "zzz": zzz is not an IP',
    ],
    ['check_source of another family', { ovn: { check_source: '2001:db8::9' } }, 'is not an IPv4 address'],
    ['force_snat without router', { ovn: { force_snat: 'router_ip' } }, 'is a setting of routers'],
    ['force_snat that is nonsense', { attach: onRouter, ovn: { force_snat: 'router' } }, ', or router_ip'],
    [
      'force_snat and skip_snat',
      { attach: onRouter, ovn: { force_snat: 'router_ip', skip_snat: true } },
      'force_snat and skip_snat are opposites',
    ],
    [
      'a template of another family',
      { ovn: { template: { hv1: '2001:db8::1' } } },
      'template cannot have 2001:db8::1 for chassis hv1',
    ],
    [
      'a template that routers are to answer for',
      { ovn: { template: { hv1: '10.0.0.9' }, neighbor_responder: 'reachable' } },
      'neighbor_responder "reachable" is not for templates',
    ],
    [
      'a template with checks',
      { ovn: { template: { hv1: '10.0.0.9' } }, destinations: [plainDestination('10.0.0.2', { check })] },
      'OVN checks no backends of templates',
    ],
  ])('%s', (_, fields, text) => {
    expect(wrong(service(fields))).toContain(text)
  })

  it.each<[string, Partial<VirtualService>]>([
    ['a plain service', {}],
    ['IPv6', six],
    ['any port', { port: 'any', destinations: [plainDestination('10.0.0.2', { port: 0 })] }],
    ['no backends', { destinations: [] }],
    ['persistence', { persistence: kept }],
    ['a hairpin address of each family', { ovn: { hairpin_snat_ip: '10.0.0.9 2001:db8::9' } }],
    ['force_snat', { attach: onRouter, ovn: { force_snat: '10.0.0.1' } }],
    ['a template', { ovn: { template: { hv1: '10.0.0.9' }, neighbor_responder: 'all' } }],
  ])('and nothing else: %s', (_, fields) => {
    expect(wrong(service(fields))).toBeNull()
  })

  it('what the server cannot choose by is refused by name', () => {
    const lacking = new Set(['ipv6_src', 'ipv6_dst'] as const)
    const text = 'this OVN cannot choose a backend by ipv6_src (Load_Balancer:selection_fields)'
    expect(lacks(service({ ...six, scheduler: 'sh' }), lacking)).toContain(`${text}, which method sh needs`)
    expect(lacks(service({ ...six, persistence: { timeout: 9, prefix: 128 } }), lacking)).toContain(
      `${text}, which persistence needs`,
    )
    expect(lacks(service({ ...six, scheduler: 'wrr' }), lacking)).toBeNull()
    expect(lacks(service({ scheduler: 'sh' }), lacking)).toBeNull()
  })
})
