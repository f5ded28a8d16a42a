import { describe, expect, it } from 'vitest'
import { ovnSchemas, ovsdbMissing, OvsdbServers } from '../../lab/ovn/ovsdbServers.ts'
import { readOvnFacts } from './doctorOvn.ts'

const missing = ovsdbMissing()
if (missing !== null) console.log(`skipped: OVN's databases answer: ${missing}`)

describe.skipIf(missing !== null)("OVN's databases answer", () => {
  it('or why not, each for itself', async () => {
    await using servers = await OvsdbServers.start({ schema: ovnSchemas.northbound })
    const found = await readOvnFacts({
      ovn_nb: ['unix:/nowhere/at/all', ...servers.tcp],
      ovn_sb: [...servers.unix],
    })
    expect(found).toEqual([
      {
        name: 'northbound',
        address: servers.tcp[0],
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
        problem: '',
      },
      {
        name: 'southbound',
        address: '',
        version: '',
        problem: expect.stringMatching(/OVN_Southbound/) as string,
      },
    ])
  })
})

it('nobody is asked where none is configured', async () => {
  expect(await readOvnFacts({})).toBeNull()
})
