import { endpointText } from '../../model/address.ts'
import type { AnnouncedService } from '../announcer.ts'

/** The body of PUT /v1/agent/service/register. */
export interface Registration {
  readonly ID: string
  readonly Name: string
  readonly Address: string
  readonly Port: number
  /** Whose it is: by this a Torb finds its own again after a crash. */
  readonly Meta: { readonly torb: string }
  readonly Check?: { readonly TCP: string; readonly Interval: string; readonly Timeout: string }
}

/** Where a registration leads. */
export type Place = Pick<Registration, 'ID' | 'Address' | 'Port'>

/** What GET /v1/agent/services tells of one, as far as it is compared. */
export interface Registered {
  readonly Service: string
  readonly Address: string
  readonly Port: number
  readonly Meta?: Readonly<Record<string, string>> | null
}

/** What leads from what an agent holds to what it should hold. */
export interface Steps {
  readonly register: readonly Registration[]
  readonly deregister: readonly Place[]
  /** Ids that somebody else registered after us: theirs, until the service changes. */
  readonly taken: readonly string[]
}

/** The name of Torb's own entry: GORB's. */
const ownName = 'gorb'

/**
 * What the agent should hold, by id: the name of a service is its id, as GORB has it, and so is the id of its registration.
 *
 * @param self where the API answers; null: not reachable by others, so not registered
 * @param instance the mark of this Torb
 */
export function wantedRegistrations(
  services: Iterable<AnnouncedService>,
  self: { readonly address: string; readonly port: number } | null,
  instance: string,
): Map<string, Registration> {
  const wanted = new Map<string, Registration>()
  const Meta = { torb: instance }
  if (self !== null) {
    const { address: Address, port: Port } = self
    const Check = { TCP: endpointText(Address, Port), Interval: '10s', Timeout: '5s' }
    wanted.set(ownName, { ID: ownName, Name: ownName, Address, Port, Meta, Check })
  }
  for (const { id, address: Address, port: Port } of services)
    wanted.set(id, { ID: id, Name: id, Address, Port, Meta })
  return wanted
}

/**
 * The smallest set of steps. Registrations of others are left alone, but for those that have the id of a service: as
 * with GORB, the last one to register an id has it.
 *
 * @param made what this process knows to have been registered, by id
 */
export function stepsBetween(
  wanted: ReadonlyMap<string, Registration>,
  present: ReadonlyMap<string, Registered>,
  made: ReadonlyMap<string, Place>,
  instance: string,
): Steps {
  const register: Registration[] = []
  const taken: string[] = []
  for (const [id, wish] of wanted) {
    const there = present.get(id)
    if (there !== undefined && isOwn(there, instance)) {
      if (!holds(there, wish)) register.push(wish)
      continue
    }
    if (there === undefined || !sameRegistration(made.get(id), wish)) register.push(wish)
    else taken.push(id)
  }
  const deregister = [...present]
    .filter(([id, there]) => isOwn(there, instance) && !wanted.has(id))
    .map(([ID, { Address, Port }]) => ({ ID, Address, Port }))
  return { register, deregister, taken }
}

const isOwn = ({ Meta }: Registered, instance: string): boolean => Meta?.['torb'] === instance

const holds = (there: Registered, wish: Registration): boolean =>
  there.Service === wish.Name && there.Address === wish.Address && there.Port === wish.Port

/** True where both would be registered alike. */
export const sameRegistration = (a: Place | undefined, b: Place): boolean =>
  a?.ID === b.ID && a.Address === b.Address && a.Port === b.Port

/** Milliseconds until the next try after so many failures in a row: doubled from a quarter of a second up to 5 s, less up to a half. */
export function retryDelay(failures: number, random: () => number): number {
  return Math.min(5000, 250 * 2 ** (failures - 1)) * (0.5 + random() / 2)
}
