import { describe, expect, it } from 'vitest'
import { fromEnvironment } from './gateway.ts'

describe('the environment of the edgerun balancer', () => {
  const cases: [Record<string, string>, object][] = [
    [{}, {}],
    [{ eb_go_lb_zone: 'zone-b' }, { zones: ['zone-b'] }],
    [{ eb_go_lb_zone: '' }, { zones: [''] }],
    [{ eb_go_lb_etcd_host: 'etcd:2379' }, { etcd: ['etcd:2379'] }],
    [{ eb_go_lb_etcd_host: 'a:1 b:2,c:3' }, { etcd: ['a:1', 'b:2', 'c:3'] }],
    [{ eb_go_lb_etcd_host: '' }, { etcd: [] }],
    [{ eb_go_lb_handler_type: 'WRR' }, { gateway_handler: 'wrr' }],
    [{ eb_go_lb_handler_type: 'dummy' }, { gateway_handler: 'dummy' }],
    [{ eb_go_lb_listen_port: '8079' }, { gateway: ':8079' }],
    [
      { eb_go_lb_gateways: '10.0.1.1:8080  10.0.2.1:8080' },
      { gateway_peers: ['10.0.1.1:8080', '10.0.2.1:8080'] },
    ],
    [{ eb_go_lb_gateways: '' }, { gateway_peers: [] }],
    [{ HOSTNAME: 'host' }, { gateway_node: 'host' }],
    [{ HOSTNAME: 'host', eb_go_lb_node_name: 'edge-1' }, { gateway_node: 'edge-1' }],
    [{ eb_go_lb_mode: 'prod' }, { log_json: true }],
    [{ eb_go_lb_mode: 'anything' }, {}],
  ]
  it.each(cases)('%o', (environment, options) => {
    expect(fromEnvironment(environment)).toEqual(options)
  })

  it.each([
    [{ eb_go_lb_handler_type: 'lrt' }, /eb_go_lb_handler_type is "lrt": it takes dummy or wrr/],
    [{ eb_go_lb_listen_port: '80800' }, /eb_go_lb_listen_port is "80800": it takes a port/],
    [{ eb_go_lb_listen_port: 'http' }, /eb_go_lb_listen_port/],
    [{ eb_go_lb_zone: 'a/b' }, /eb_go_lb_zone is "a\/b": it must have no slash and no blank/],
    [{ eb_go_lb_etc_host: 'a' }, /unknown variable eb_go_lb_etc_host: did you mean eb_go_lb_etcd_host\?/],
    [{ eb_go_lb_ports: 'a' }, /unknown variable eb_go_lb_ports/],
  ])('%o is refused', (environment, message) => {
    expect(() => fromEnvironment(environment)).toThrow(message)
  })
})
