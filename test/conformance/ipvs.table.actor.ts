import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { openIpvs } from '../../src/kernel/netlink/ipvs.ts'
import type { Ipvs, IpvsCommand, IpvsDaemon } from '../../src/kernel/netlink/ipvsEntries.ts'
import { IpvsPlane, type IpvsOptions } from '../../src/planes/ipvs/plane.ts'
import { openOver, refuseEverywhere } from '../../src/planes/ipvs/rig.ts'
import type { VirtualService } from '../../src/planes/plane.ts'
import { ledgerOver } from './rig.ts'
import { hostPlane } from './remotePlane.ts'
import { toWire } from './wireCapabilities.ts'

let kernel: Ipvs | null = null
const table = async (): Promise<Ipvs> => (kernel ??= await openIpvs())

let sent = (): Sent => ({ commands: [], calls: 0 })
let atOpening = sent()

/** What was sent to the kernel: commands by name, in so many calls. */
interface Sent {
  readonly commands: readonly IpvsCommand['do'][]
  readonly calls: number
}

const host = hostPlane(async () => {
  const { plane, commands, calls } = await openOver(await table())
  sent = () => ({ commands: commands.map((command) => command.do), calls: calls() })
  return plane
})

/** A plane of these options, open, for one question. */
async function asked<T>(options: IpvsOptions, ask: (plane: IpvsPlane) => Promise<T>): Promise<T> {
  const plane = new IpvsPlane(options)
  await plane.open(ledgerOver(new Map()))
  try {
    return await ask(plane)
  } finally {
    await plane.close()
  }
}

/** Inside User-Mode Linux: the ipvs plane over the kernel's table, ipvsadm beside it, and no network. */
export const actor = {
  ...host,
  async open(notes: Parameters<typeof host.open>[0]): Promise<void> {
    await host.open(notes)
    atOpening = sent()
  },
  refuseEverywhere: async () => refuseEverywhere(await table()),
  /** What was sent since the plane was opened. */
  async sent(): Promise<Sent> {
    const { commands, calls } = sent()
    return { commands: commands.slice(atOpening.commands.length), calls: calls - atOpening.calls }
  },
  can: () => asked({ sysctl: false }, async (plane) => toWire(plane.can)),
  facts: (timeouts: NonNullable<IpvsOptions['timeouts']>, daemons: readonly IpvsDaemon[]) =>
    asked({ timeouts, daemons }, (plane) => plane.facts()),
  foreign: (endpoints: readonly string[] | null) =>
    asked({ sysctl: false }, (plane) => plane.foreign(endpoints ?? undefined)),
  flush: () => asked({ sysctl: false }, (plane) => plane.flush()),
  /** Milliseconds to program services that are not there yet. */
  async program(specs: readonly VirtualService[]): Promise<number> {
    const begun = performance.now()
    const outcomes = await host.apply(specs.map((after) => ({ key: after.id, before: null, after })))
    const spent = performance.now() - begun
    for (const outcome of outcomes) if (!outcome.ok) throw new Error(outcome.message)
    return spent
  },
  /** Milliseconds to observe all. */
  async observing(): Promise<number> {
    const begun = performance.now()
    await host.observe('all')
    return performance.now() - begun
  },
  /** Connects from this host to a service whose backend is this host as well. @returns the client's end, and it stays open */
  async connect(address: string, port: number): Promise<{ source: string; sourcePort: number }> {
    const socket = connect({ host: address, port, localAddress: '10.8.255.1' })
    await once(socket, 'connect')
    return { source: '10.8.255.1', sourcePort: socket.localPort ?? 0 }
  },
  async listen(address: string, port: number): Promise<void> {
    await once(createServer(() => {}).listen({ host: address, port }), 'listening')
  },
  ipvsadm: async (...args: readonly string[]): Promise<string> =>
    execFileSync('ipvsadm', args, { encoding: 'utf8' }),
}
