import { writeFileSync, mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { argumentsOf, expressionOf, readTrace, runTrace, traceText, type Microflow } from './trace.ts'

const microflow: Microflow = {
  datapath: 'af368e58-0000-0000-0000-000000000000',
  inport: 'vm3',
  sourceMac: '02:ac:10:ff:01:94',
  destinationMac: '02:ac:10:ff:01:93',
  flow: {
    protocol: 'tcp',
    source: '172.16.255.194',
    sourcePort: 40_000,
    destination: '172.16.255.62',
    destinationPort: 8000,
  },
}

/** Of ovn-trace 23.03, shortened. */
const balanced = `# tcp,reg14=0x2,nw_src=172.16.255.194,nw_dst=172.16.255.62

ingress(dp="inside", inport="vm3")
----------------------------------
 0. ls_in_check_port_sec (northd.c:8432): 1, priority 50, uuid af368e58
    reg0[15] = check_in_port_sec();
    next;
 6. ls_in_pre_stateful (northd.c:7115): reg0[2] == 1 && ip4.dst == 172.16.255.62, priority 120, uuid 1c88d04b
    ct_lb_mark;

ct_lb_mark
----------
12. ls_in_lb (northd.c:7558): ct.new && ip4.dst == 172.16.255.62, priority 120, uuid bc24b216
    ct_lb_mark(backends=172.16.255.130:8000,172.16.255.131:8000; hash_fields="ip_dst,ip_src");

ct_lb_mark /* default (use --ct to customize) */
------------------------------------------------
25. ls_in_l2_lkup (northd.c:9193): eth.dst == 02:ac:10:ff:01:93, priority 50, uuid 0151114b
    outport = "inside-tenant1";
    output;

egress(dp="inside", inport="vm3", outport="inside-tenant1")
-----------------------------------------------------------
    /* output to "inside-tenant1", type "patch" */

ingress(dp="tenant1", inport="tenant1-inside")
----------------------------------------------
    /* output to "tenant1-dmz", type "patch" */

ingress(dp="dmz", inport="dmz-tenant1")
---------------------------------------
 9. ls_out_apply_port_sec (northd.c:5777): 1, priority 0, uuid 4aaf8a86
    output;
    /* output to "vm2", type "" */
`

const dropped = `ingress(dp="inside", inport="vm3")
ingress(dp="edge1", inport="edge1-transit")
-------------------------------------------
13. lr_in_ip_routing (northd.c:12045): 1, priority 0, uuid f3bfbe5e
    drop;
`

const rejected = `ingress(dp="inside", inport="vm3")
12. ls_in_lb (northd.c:7558): ct.new && ip4.dst == 172.16.255.62, priority 120, uuid bc24b216
    reg0 = 0;
    reject {
        outport <-> inport;
    };
    /* output to "vm3", type "" */
`

describe('ovn-trace', () => {
  it.each<[string, Microflow, string]>([
    [
      'tcp',
      microflow,
      'inport == "vm3" && eth.src == 02:ac:10:ff:01:94 && eth.dst == 02:ac:10:ff:01:93 && ip4.src == 172.16.255.194 && ip4.dst == 172.16.255.62 && ip.ttl == 64 && tcp && tcp.src == 40000 && tcp.dst == 8000',
    ],
    [
      'udp over IPv6',
      {
        ...microflow,
        flow: {
          protocol: 'udp',
          source: 'fd00::2',
          sourcePort: 5000,
          destination: 'fd00:9::1',
          destinationPort: 53,
        },
      },
      'inport == "vm3" && eth.src == 02:ac:10:ff:01:94 && eth.dst == 02:ac:10:ff:01:93 && ip6.src == fd00::2 && ip6.dst == fd00:9::1 && ip.ttl == 64 && udp && udp.src == 5000 && udp.dst == 53',
    ],
    [
      'a name that is an expression itself',
      { ...microflow, inport: 'vm" || 1 || inport == "\\x' },
      String.raw`inport == "vm\" || 1 || inport == \"\\x" && eth.src == 02:ac:10:ff:01:94 && eth.dst == 02:ac:10:ff:01:93 && ip4.src == 172.16.255.194 && ip4.dst == 172.16.255.62 && ip.ttl == 64 && tcp && tcp.src == 40000 && tcp.dst == 8000`,
    ],
  ])('gets a microflow: %s', (_, flow, text) => {
    expect(expressionOf(flow)).toBe(text)
  })

  it('gets any name of a port as one string', () => {
    fc.assert(
      fc.property(fc.string(), (inport) => {
        const text = expressionOf({ ...microflow, inport })
        const [, name = ''] = /^inport == ("(?:[^"\\]|\\.)*") && eth\.src/s.exec(text) ?? []
        expect(JSON.parse(name)).toBe(inport)
      }),
    )
  })

  it('is asked all members of a cluster, of the first packet of a connection', () => {
    const given = argumentsOf(['tcp:10.0.0.1:6642', 'tcp:10.0.0.2:6642'], microflow)
    expect(given[0]).toBe('--db=tcp:10.0.0.1:6642,tcp:10.0.0.2:6642')
    expect(given).toContain('--ct=new')
    expect(given.slice(-2)).toEqual([microflow.datapath, expressionOf(microflow)])
  })

  it.each([
    [
      'balanced',
      balanced,
      'ovn-trace passes inside, tenant1, dmz, is balanced by inside (172.16.255.130:8000,172.16.255.131:8000) and comes out at port vm2.',
    ],
    [
      'dropped',
      dropped,
      'ovn-trace passes inside, edge1, is balanced nowhere and is dropped by edge1 (lr_in_ip_routing).',
    ],
    ['rejected', rejected, 'ovn-trace passes inside, is balanced nowhere and is rejected by inside.'],
  ])('is read where a packet is %s', (_, output, text) => {
    expect(traceText(readTrace(output))).toBe(text)
  })

  it('is read whatever it says', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...balanced.split('\n')), fc.string())), (lines) => {
        expect(typeof traceText(readTrace(lines.join('\n')))).toBe('string')
      }),
    )
  })

  it.each([
    ['is missing', null, 'ovn-trace is not installed here (Debian: ovn-common)'],
    ['says what is wrong', 'echo "unknown datapath"', 'ovn-trace said: unknown datapath'],
    [
      'fails',
      'echo "2026-01-01T00:00:00Z|00001|ovntrace|WARN|nope: unknown logical port" >&2; exit 1',
      'ovn-trace failed: nope: unknown logical port',
    ],
    [
      'waits for ever',
      'exec sleep 60',
      'ovn-trace had no answer within 300 ms: can this machine reach the southbound database?',
    ],
  ])('is no error where it %s', async (_, script, reason) => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-trace-test-'))
    const program = join(place.path, 'ovn-trace')
    if (script !== null) writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o700 })
    expect(await runTrace(microflow, { addresses: ['unix:/nowhere'], program, timeoutMs: 300 })).toEqual({
      ok: false,
      reason,
    })
  })

  it('gets keys of TLS as files that only live as long as it', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-trace-test-'))
    const program = join(place.path, 'ovn-trace')
    const script = `for given in "$1" "$2" "$3"; do file="\${given#*=}"; stat -c %a "$file"; cat "$file"; done | tr '\\n' ' '; exit 0`
    writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o700 })
    const tls = { ca: 'CA\n', cert: 'CERT\n', key: 'KEY\n' }
    expect(await runTrace(microflow, { addresses: ['ssl:127.0.0.1:6642'], tls, program })).toEqual({
      ok: false,
      reason: 'ovn-trace said: 600 KEY 600 CERT 600 CA',
    })
  })
})
