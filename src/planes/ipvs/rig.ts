import { plainDestination, plainService } from '../plain.ts'
import type { Ipvs, IpvsCommand } from '../../kernel/netlink/ipvsEntries.ts'
import type { Destination, Outcome, VirtualService } from '../plane.ts'
import { destinationText, keyText } from './entries.ts'
import { IpvsPlane } from './plane.ts'

/** For tests: planes over tables that refuse or count. test/conformance/ipvs.table.* tries the same on a kernel. */

/** What any IPVS refuses with EINVAL: an IPv6 service without a netmask. */
const refusable: IpvsCommand = {
  do: 'add-service',
  service: {
    key: { family: 10, fwmark: 0x7fffffff },
    scheduler: 'rr',
    flags: 0,
    timeout: 0,
    prefix: 0,
    engine: '',
  },
}

interface Watched {
  readonly ipvs: Ipvs
  readonly commands: IpvsCommand[]
  /** So many times something was executed. */
  calls: number
}

/** A table that notes what is executed. @param refuse which commands, counted from 0, are refused instead */
function watched(ipvs: Ipvs, refuse: (index: number) => boolean): Watched {
  const seen: Watched = {
    commands: [],
    calls: 0,
    ipvs: {
      info: () => ipvs.info(),
      services: () => ipvs.services(),
      service: (key) => ipvs.service(key),
      destinations: (key) => ipvs.destinations(key),
      execute(commands) {
        seen.calls++
        return ipvs.execute(
          commands.map((command) => (refuse(seen.commands.push(command) - 1) ? refusable : command)),
        )
      },
      timeouts: () => ipvs.timeouts(),
      setTimeouts: (timeouts) => ipvs.setTimeouts(timeouts),
      daemons: () => ipvs.daemons(),
      startDaemon: (daemon) => ipvs.startDaemon(daemon),
      stopDaemon: (state) => ipvs.stopDaemon(state),
      close: () => {},
    },
  }
  return seen
}

/** A plane over a table, open, and without what it did to open in `commands`. */
export async function openOver(
  ipvs: Ipvs,
  refuse: (index: number) => boolean = () => false,
  notes: ReadonlyMap<string, string> = new Map(),
): Promise<{ readonly plane: IpvsPlane; readonly commands: IpvsCommand[]; readonly calls: () => number }> {
  let open = false
  const seen = watched(ipvs, (index) => open && refuse(index))
  const plane = new IpvsPlane({ ipvs: () => Promise.resolve(seen.ipvs), sysctl: false })
  await plane.open({ has: (key) => notes.has(key), keys: () => notes.keys(), note: (key) => notes.get(key) })
  open = true
  seen.commands.length = 0
  const before = seen.calls
  return { plane, commands: seen.commands, calls: () => seen.calls - before }
}

export const virtualService = (fields: Partial<VirtualService> = {}): VirtualService =>
  plainService({ address: '10.9.0.1', ...fields })

export const destination = (host: number, fields: Partial<Destination> = {}): Destination =>
  plainDestination(`10.8.0.${host}`, { id: `b${host}`, maxWeight: 1, ...fields })

/** All that a table holds as text, in an order of its own. */
export const contents = (ipvs: Ipvs): string[] =>
  ipvs
    .services()
    .map(({ flags, key, prefix, scheduler, timeout }) => {
      const destinations = ipvs
        .destinations(key)
        .map(({ key: at, forwarding, weight, upperThreshold, lowerThreshold, tunnelType, tunnelPort }) =>
          [
            destinationText(at),
            forwarding,
            weight,
            upperThreshold,
            lowerThreshold,
            tunnelType,
            tunnelPort,
          ].join(' '),
        )
      return [keyText(key), scheduler, flags, timeout, prefix, ...destinations.sort()].join(' | ')
    })
    .sort()

/** What became of one batch of which one command was refused. */
export interface Refusing {
  readonly position: number
  readonly outcomes: readonly Outcome[]
  /** What the table held before, and then: for each change what it should hold where that is refused, or where it is done. */
  readonly held: readonly string[]
  readonly expected: readonly string[]
}

/**
 * Applies one batch over and over, with the first, second ... command refused, until none is left to refuse.
 *
 * @param ipvs an empty table; left empty
 */
export async function refuseEverywhere(ipvs: Ipvs): Promise<Refusing[]> {
  const changed = virtualService({
    id: 'changed',
    address: '10.9.0.2',
    destinations: [destination(1), destination(2), destination(3)],
  })
  const going = virtualService({ id: 'going', address: '10.9.0.3', destinations: [destination(1)] })
  const moving = virtualService({ id: 'moving', address: '10.9.0.4', destinations: [destination(4)] })
  const changes = [
    {
      key: 'new',
      before: null,
      after: virtualService({ id: 'new', destinations: [destination(1), destination(2)] }),
    },
    {
      key: 'changed',
      before: changed,
      after: {
        ...changed,
        scheduler: 'wrr' as const,
        persistence: { timeout: 60, prefix: 24 },
        destinations: [destination(1, { weight: 7 }), destination(2), destination(5)],
      },
    },
    { key: 'going', before: going, after: null },
    { key: 'moving', before: moving, after: { ...moving, port: 81, destinations: [destination(4)] } },
  ]
  const program = async (specs: readonly (VirtualService | null)[]): Promise<string[]> => {
    ipvs.execute([{ do: 'flush' }])
    const { plane } = await openOver(ipvs)
    const made = specs.filter((spec) => spec !== null)
    await plane.apply(made.map((after) => ({ key: after.id, before: null, after })))
    return contents(ipvs)
  }
  const turns: Refusing[] = []
  for (let position = 0; ; position++) {
    await program(changes.map(({ before }) => before))
    const { plane, commands } = await openOver(ipvs, (index) => index === position)
    const outcomes = await plane.apply(changes)
    const held = contents(ipvs)
    const expected = await program(
      changes.map(({ before, after }, index) => (outcomes[index]?.ok === true ? after : before)),
    )
    if (commands.length <= position) {
      ipvs.execute([{ do: 'flush' }])
      return turns
    }
    turns.push({ position, outcomes, held, expected })
  }
}
