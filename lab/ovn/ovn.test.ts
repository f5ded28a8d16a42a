import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ovnMissing, startOvn, type OvnLab, type OvnPort } from './ovn.ts'

const missing = ovnMissing()
if (missing !== null) console.log(`skipped: the OVN lab: ${missing}`)

const running = (pid: number | null): boolean => pid !== null && existsSync(`/proc/${pid}`)

describe.skipIf(missing !== null)('an OVN of two chassis', () => {
  let lab: OvnLab
  let one: OvnPort
  let two: OvnPort

  /** Which server answers to a client on the other chassis. */
  async function asked(): Promise<readonly string[]> {
    const { answers, failures } = await (
      await one.traffic()
    ).exchange({
      protocol: 'tcp',
      from: one.addresses.slice(0, 1),
      to: { address: '10.0.0.3', port: 80 },
      count: 1,
    })
    return [...failures, ...answers.map(({ backend, client }) => `${backend} asked by ${client}`)]
  }

  beforeAll(async () => {
    lab = await startOvn({ chassis: 2 })
    await lab.nbctl('ls-add', 'inside')
    ;[one, two] = await Promise.all([
      lab.port(1, 'inside', 'one', { addresses: ['10.0.0.2/24'] }),
      lab.port(2, 'inside', 'two', { addresses: ['10.0.0.3/24'] }),
    ])
    await (await two.traffic()).listen('server', '10.0.0.3', 80)
    await lab.sync()
  })
  afterAll(() => lab?.close())

  it('carries traffic from one to the other, by Geneve', async () => {
    expect(await asked()).toEqual(['server asked by 10.0.0.2'])
    expect(await lab.chassis[0]?.vsctl('--bare', '--columns=type', 'find', 'Interface', 'type=geneve')).toBe(
      'geneve\n',
    )
  })

  it('stands on after each of its daemons was killed and started again', async () => {
    const daemons = [
      lab.northd,
      lab.sb,
      lab.nb,
      ...lab.chassis.flatMap(({ controller, ovs }) => [controller, ovs]),
    ]
    for (const daemon of daemons) {
      const { pid } = daemon
      await daemon.restart()
      expect([running(pid), running(daemon.pid)]).toEqual([false, true])
    }
    await lab.sync()
    expect(await asked()).toEqual(['server asked by 10.0.0.2'])
  })

  it('knows a chassis whose controller stands still', async () => {
    const [, second] = lab.chassis
    second?.controller.freeze()
    await expect(lab.nbctl('--timeout=1', '--wait=hv', 'sync')).rejects.toThrow()
    second?.controller.thaw()
    await lab.sync()
  })

  it('leaves no process, namespace and file behind', async () => {
    const { directory, nb, northd, chassis } = lab
    const pids = [nb, northd, ...chassis.map(({ vswitchd }) => vswitchd)].map(({ pid }) => pid)
    expect(pids.map(running)).toEqual([true, true, true, true])
    lab.close()
    expect(existsSync(directory)).toBe(false)
    expect(readdirSync('/run/netns').filter((name) => name.startsWith(`torb-${process.pid}-`))).toEqual([])
    // Killed is not gone: the kernel takes a moment for the memory of each.
    await expect.poll(() => pids.filter((pid) => pid !== null && inUse(pid)), { timeout: 20_000 }).toEqual([])
  })
})

/** A process that was killed may wait for its parent, this one, to take note. */
function inUse(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
