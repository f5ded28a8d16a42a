import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ovnSchemas, ovsdbMissing, OvsdbServers } from '../../lab/ovn/ovsdbServers.ts'
import { readOvnFacts, readVswitchdFacts } from './doctorOvn.ts'

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
  expect(await readVswitchdFacts({ plane: 'ovn' })).toBeNull()
})

it('each ovs-vswitchd is asked, without any database', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'doctor-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const right = join(directory, 'right.ctl')
  const version = 'ovs-vswitchd (Open vSwitch) 3.1.0'
  const server = createServer((client) => {
    client.on('data', () => client.end(JSON.stringify({ id: 0, result: version, error: null })))
  }).listen(right)
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const wrong = join(directory, 'wrong.ctl')
  const options = { ovn_vswitchd: `${right}, ${wrong}` }
  expect(await readOvnFacts(options)).toBeNull()
  expect(await readVswitchdFacts(options)).toEqual([
    { path: right, problem: '' },
    {
      path: wrong,
      problem: expect.stringMatching(
        /wrong\.ctl cannot be asked: there is no such socket: correct/,
      ) as string,
    },
  ])
})
