import type { Held, Traffic } from '../../lab/client.ts'
import { startOvn, type OvnLab, type OvnPort } from '../../lab/ovn/ovn.ts'

type Protocol = Traffic['protocol']
export type Name = keyof typeof places

/** Near: clients and servers on one switch with a router. Far: the same, with a further switch that only a router is on. */
export const places = {
  c1: [1, 'near', 2],
  c2: [2, 'near', 3],
  s1: [1, 'near', 4],
  s2: [2, 'near', 5],
  s5: [2, 'near', 6],
  c3: [2, 'far', 2],
  s3: [1, 'far', 4],
  s4: [2, 'far', 5],
} as const satisfies Readonly<
  Record<string, readonly [chassis: 1 | 2, network: 'near' | 'far', host: number]>
>
const servers = ['s1', 's2', 's3', 's4', 's5'] as const
const subnet = { near: ['10.0.0', 'fd00:'], far: ['10.1.0', 'fd01:'] } as const

/** Addresses of a server, for as many tests at the same time: what one does to its own touches no other. */
export type Row = 0 | 10 | 20 | 30
const rows: readonly Row[] = [0, 10, 20, 30]

export const address = (name: Name, row: Row = 0, family: 4 | 6 = 4): string => {
  const [, network, host] = places[name]
  return `${subnet[network][family === 4 ? 0 : 1]}${family === 4 ? '.' : ':'}${host + row}`
}

const layout = [
  ...(['near', 'far'] as const).flatMap((name, i) => [
    `ls-add ${name}`,
    `lr-add r-${name}`,
    `lrp-add r-${name} to-${name} 0a:00:00:01:00:0${i} ${subnet[name][0]}.1/24 ${subnet[name][1]}:1/64`,
    ...towards(name),
  ]),
  'ls-add join',
  'lrp-add r-far to-join 0a:00:00:02:00:01 10.2.0.1/24',
  ...towards('join'),
]

/** The port of a switch towards the router's port of its name. */
function towards(of: string): string[] {
  const name = `up-${of}`
  return [
    `lsp-add ${of} ${name}`,
    `lsp-set-type ${name} router`,
    `lsp-set-addresses ${name} router`,
    `lsp-set-options ${name} router-port=to-${of}`,
  ]
}

/** A real OVN of two chassis with two networks of servers and clients. */
export class TwoNetworks implements Disposable {
  readonly lab: OvnLab
  readonly ports: Readonly<Record<Name, OvnPort>>

  constructor(lab: OvnLab, ports: Readonly<Record<Name, OvnPort>>) {
    this.lab = lab
    this.ports = ports
  }

  /** All servers listen, on TCP and UDP, at all of their addresses. */
  static async start(): Promise<TwoNetworks> {
    const lab = await startOvn({ chassis: 2 })
    try {
      await lab.nbctl(...layout.flatMap((command) => ['--', ...command.split(' ')]))
      const entries = await Promise.all(
        (Object.keys(places) as Name[]).map(async (name) => {
          const [chassis, of] = places[name]
          const [four, six] = subnet[of]
          const addresses = (name.startsWith('s') ? rows : rows.slice(0, 1)).flatMap((row) => [
            `${address(name, row)}/24`,
            `${address(name, row, 6)}/64`,
          ])
          const port = await lab.port(chassis, of, name, {
            addresses,
            gateways: [`${four}.1`, `${six}:1`],
          })
          return [name, port] as const
        }),
      )
      const network = new TwoNetworks(lab, Object.fromEntries(entries) as Record<Name, OvnPort>)
      await Promise.all(servers.map((name) => Promise.all(rows.map((row) => network.listen(name, row)))))
      return network
    } catch (error) {
      lab.close()
      throw error
    }
  }

  /** Which servers answer connections of a client, and how many get no answer. */
  async answering(
    client: Name,
    to: string,
    protocol: Protocol = 'tcp',
    count = 24,
  ): Promise<{ readonly servers: readonly string[]; readonly failures: readonly string[] }> {
    const { answers, failures } = await (
      await this.ports[client].traffic()
    ).exchange({
      protocol,
      from: [address(client, 0, to.includes(':') ? 6 : 4)],
      to: { address: to, port: 80 },
      count,
      concurrency: 8,
      patienceMs: 1000,
    })
    return { servers: [...new Set(answers.map((one) => one.backend))].toSorted(), failures }
  }

  async hold(client: Name, to: string, protocol: Protocol = 'tcp'): Promise<readonly Held[]> {
    const { held, failures } = await (
      await this.ports[client].traffic()
    ).hold({ protocol, from: [address(client)], to: { address: to, port: 80 }, count: 12 })
    if (failures.length > 0 || new Set(held.map((one) => one.backend)).size !== 2)
      throw new Error(`connections of ${client} to ${to}: ${held.length} open, ${failures.join('; ')}`)
    return held
  }

  async still(client: Name, held: readonly Held[]): Promise<readonly (string | null)[]> {
    return (await this.ports[client].traffic()).answering(held.map(({ id }) => id))
  }

  /** Who answers on held connections when those to a server have been reset. */
  without(held: readonly Held[], server: Name): readonly (string | null)[] {
    return held.map((one) => (one.backend.startsWith(server) ? null : one.backend))
  }

  async listen(name: Name, row: Row): Promise<void> {
    const traffic = await this.ports[name].traffic()
    await traffic.listen(`${name} ${row}`, address(name, row), 80)
    await traffic.listen(`${name} ${row} by IPv6`, address(name, row, 6), 80)
  }

  async close(name: Name, row: Row): Promise<void> {
    const traffic = await this.ports[name].traffic()
    await traffic.closeServer(`${name} ${row}`)
    await traffic.closeServer(`${name} ${row} by IPv6`)
  }

  [Symbol.dispose](): void {
    this.lab.close()
  }
}
