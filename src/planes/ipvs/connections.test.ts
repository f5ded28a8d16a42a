import { mkdtempDisposableSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findConnections, parseConnection } from './connections.ts'

// As read from /proc/net/ip_vs_conn of Linux 6.1.
const heading = 'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData'
const open = 'TCP 0A010105 9D2F 0A030007 0050 0A020101 2328 ESTABLISHED     899'
const template = 'TCP 0A010100 0000 0A030007 0050 0A020102 2328 NONE            299'
const six =
  'UDP fd00:0001:0000:0001:0000:0000:0000:0003 C350 fd00:0003:0000:0000:0000:0000:0000:0001 0035 fd00:0002:0000:0000:0000:0000:0000:0002 2328 UDP             300'

describe('parseConnection', () => {
  it('reads both families', () => {
    expect(parseConnection(open)).toEqual({
      protocol: 'TCP',
      client: '10.1.1.5',
      clientPort: 40_239,
      virtual: '10.3.0.7',
      virtualPort: 80,
      backend: '10.2.1.1',
      backendPort: 9000,
      state: 'ESTABLISHED',
      expires: 899,
    })
    expect(parseConnection(template)).toMatchObject({ client: '10.1.1.0', clientPort: 0, expires: 299 })
    expect(parseConnection(six)).toMatchObject({
      client: 'fd00:1:0:1::3',
      clientPort: 50_000,
      virtual: 'fd00:3::1',
      virtualPort: 53,
      backend: 'fd00:2::2',
    })
  })

  it.each([heading, '', 'TCP 0A010105 9D2F'])('passes over "%s"', (line) => {
    expect(parseConnection(line)).toBe(null)
  })
})

describe('findConnections', () => {
  it('finds those wanted', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-conn-'))
    const file = join(place.path, 'ip_vs_conn')
    writeFileSync(file, `${[heading, open, template, six].join('\n')}\n`)
    expect(await findConnections(({ clientPort }) => clientPort === 0, file)).toEqual({
      found: [parseConnection(template)],
      complete: true,
    })
  })

  it('does not read a long table to its end, and says so', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-conn-'))
    const file = join(place.path, 'ip_vs_conn')
    writeFileSync(file, `${open}\n`.repeat(140_000) + `${template}\n`)
    expect(await findConnections(({ clientPort }) => clientPort === 0, file)).toEqual({
      found: [],
      complete: false,
    })
  })
})
