import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Connections } from './connections.ts'

it('chassis that cannot be asked are named at once, with the cause and the cure', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'vswitchd-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  /** A daemon that says this of itself. */
  const listening = async (version: string): Promise<string> => {
    const path = join(directory, `${version.split(' ', 1)[0]}.ctl`)
    const server = createServer((client) => {
      client.on('data', () => client.end(JSON.stringify({ id: 0, result: version, error: null })))
    }).listen(path)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    return path
  }
  const right = await listening('ovs-vswitchd (Open vSwitch) 3.1.0')
  const other = await listening('ovsdb-server (Open vSwitch) 3.1.0')
  const nowhere = join(directory, 'openvswitch')
  const warned: string[] = []
  const vswitchd = [right, other, nowhere, directory]
  await new Connections({ vswitchd, log: { warn: (_, text) => void warned.push(text) } }).check()
  const rest = ' (ovn_vswitchd); until then open connections are not known, and a drain takes all of its time'
  expect(warned.toSorted()).toEqual(
    [
      `ovs-vswitchd at ${other} cannot be asked: ovsdb-server listens there: give the control socket of ovs-vswitchd, or its run directory${rest}`,
      `ovs-vswitchd at ${nowhere} cannot be asked: there is no such socket: correct the path, or start it${rest}`,
      `ovs-vswitchd at ${directory} cannot be asked: there is no ovs-vswitchd.pid: give its control socket or its run directory, or start it${rest}`,
    ].toSorted(),
  )
})
