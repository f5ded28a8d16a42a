import type { Log } from '../../control/events.ts'
import { SystemCallError } from '../../kernel/ffi.ts'
import { openRoute, type NewAddress, type Route } from '../../kernel/netlink/route.ts'
import { addressBytes, addressText, familyOf, isLoopback } from '../../model/address.ts'
import type { Row, Store } from '../../store/store.ts'

/** The store's bucket of addresses that are Torb's: key [interface, address]. */
const bucket = 'address'

/** How soon an address that somebody removed is there again, and one that could not be added is tried again. */
const repairMs = 2000

/** include/uapi/asm-generic/errno.h */
const errno = { EPERM: 1, EACCES: 13, EEXIST: 17, ENODEV: 19, EADDRNOTAVAIL: 99 } as const

export interface AddressesOptions {
  /** null: addresses are added nowhere, and those of an earlier start are removed. */
  readonly interface: string | null
  readonly store: Pick<Store, 'load' | 'commit'>
  readonly log: Log
  /** Path of a network namespace; absent: this one. */
  readonly namespace?: string
}

interface Note {
  readonly interface: string
  readonly address: string
}

/**
 * Keeps the virtual addresses in use on one interface, as /32 or /128.
 *
 * An address that the machine had already is not Torb's and never removed. What is Torb's is noted durably before it is
 * added, so that exactly that is removed, also after a crash.
 */
export class Addresses {
  readonly #options: AddressesOptions
  readonly #route: Route
  /** What is Torb's, by store key. */
  readonly #notes: Map<string, Note>
  readonly #claims = new Map<string, readonly string[]>()
  /** How many claim each address. */
  readonly #uses = new Map<string, number>()
  /** Addresses in use that were there when last looked. */
  #there = new Set<string>()
  #settled = false
  #work = Promise.resolve()
  #timer: NodeJS.Timeout | null = null
  /** The last thing logged of each address. */
  readonly #told = new Map<string, string>()

  private constructor(options: AddressesOptions, route: Route, notes: Map<string, Note>) {
    this.#options = options
    this.#route = route
    this.#notes = notes
  }

  /** @throws Error where the interface does not exist */
  static async open(options: AddressesOptions): Promise<Addresses> {
    const notes = new Map<string, Note>()
    for (const [key] of await options.store.load(bucket)) {
      const [name, address] = JSON.parse(key) as [string, string]
      notes.set(key, { interface: name, address })
    }
    const route = await openRoute(options.namespace === undefined ? {} : { namespace: options.namespace })
    try {
      const known = route.links().map(({ name }) => name)
      if (options.interface === null || known.includes(options.interface))
        return new Addresses(options, route, notes)
      throw new Error(
        `interface "${options.interface}" does not exist on this machine: choose one of ${known.join(', ')} with -vipi`,
      )
    } catch (error) {
      route.close()
      throw error
    }
  }

  /** True for an address that Torb added: it is no address of the interface's own. */
  isOwn(address: string): boolean {
    return [...this.#notes.values()].some((note) => note.address === address)
  }

  /** From now on these are the addresses that `owner` uses; what has none ('') and what needs none is left out. */
  claim(owner: string, addresses: readonly string[]): void {
    const needed = [...new Set(addresses)].filter(isAddable)
    for (const address of needed) this.#uses.set(address, (this.#uses.get(address) ?? 0) + 1)
    for (const address of this.#claims.get(owner) ?? []) {
      const left = (this.#uses.get(address) ?? 0) - 1
      if (left > 0) this.#uses.set(address, left)
      else this.#uses.delete(address)
    }
    if (needed.length > 0) this.#claims.set(owner, needed)
    else this.#claims.delete(owner)
  }

  /** Adds what is claimed and removes what is claimed no more, where there is anything of that. Failures are only logged. */
  async follow(): Promise<void> {
    const missing = [...this.#uses.keys()].some((address) => !this.#there.has(address))
    if (missing || this.#surplus().length > 0) await this.#reconcile()
  }

  /** All services are claimed: from now on what is not in use is removed, and what somebody removed is repaired. */
  async settle(): Promise<void> {
    this.#settled = true
    this.#timer ??= setInterval(() => void this.#reconcile(), repairMs)
    await this.#reconcile()
  }

  /** The addresses stay, so that traffic goes on. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#work
    this.#route.close()
  }

  #reconcile(): Promise<void> {
    this.#work = this.#work.then(async () => {
      try {
        await this.#add()
        await this.#remove()
      } catch (error) {
        this.#tell('', `the virtual addresses could not be looked after: ${textOf(error)}`)
      }
    })
    return this.#work
  }

  async #add(): Promise<void> {
    const { interface: name, store } = this.#options
    if (name === null) return
    const present = this.#route
      .addresses()
      .map((entry): Note => ({ interface: entry.interface, address: addressText(entry.address) }))
      // One that an earlier start put on another interface is about to go.
      .filter((note) => note.interface === name || !this.#notes.has(keyOf(note)))
    const addresses = new Set(present.map(({ address }) => address))
    this.#there = new Set([...this.#uses.keys()].filter((address) => addresses.has(address)))
    const missing = [...this.#uses.keys()].filter((address) => !addresses.has(address))
    if (missing.length === 0) return
    const notes = missing.map((address): Note => ({ interface: name, address }))
    await store.commit(this.#noted(notes.filter((note) => !this.#notes.has(keyOf(note)))))
    const failed: Note[] = []
    for (const note of notes) {
      const { address } = note
      this.#notes.set(keyOf(note), note)
      try {
        this.#route.addAddress(hostAddress(note))
        this.#there.add(address)
        this.#told.delete(address)
      } catch (error) {
        failed.push(note)
        // Somebody was faster.
        if (error instanceof SystemCallError && error.errno === errno.EEXIST) this.#there.add(address)
        else this.#tell(address, notAdded(note, error))
      }
    }
    await this.#forget(failed)
  }

  async #remove(): Promise<void> {
    const gone: Note[] = []
    for (const note of this.#surplus()) {
      try {
        this.#route.removeAddress(hostAddress(note))
        gone.push(note)
      } catch (error) {
        // The address is gone already, or its interface.
        const number = error instanceof SystemCallError ? error.errno : 0
        if (number === errno.EADDRNOTAVAIL || number === errno.ENODEV) gone.push(note)
        else this.#tell(note.address, notRemoved(note, error))
      }
    }
    await this.#forget(gone)
  }

  /** What is Torb's and not in use where it is. */
  #surplus(): Note[] {
    if (!this.#settled) return []
    const { interface: name } = this.#options
    return [...this.#notes.values()].filter(
      (note) => note.interface !== name || !this.#uses.has(note.address),
    )
  }

  #noted(notes: readonly Note[]): Row[] {
    return notes.map((note) => ({ bucket, key: keyOf(note), value: '' }))
  }

  async #forget(notes: readonly Note[]): Promise<void> {
    if (notes.length === 0) return
    await this.#options.store.commit(notes.map((note) => ({ bucket, key: keyOf(note), value: null })))
    for (const note of notes) {
      this.#notes.delete(keyOf(note))
      if (!this.#uses.has(note.address)) this.#told.delete(note.address)
    }
  }

  /** Logs a sentence, once until another one is due. */
  #tell(about: string, text: string): void {
    if (this.#told.get(about) === text) return
    this.#told.set(about, text)
    this.#options.log.warn({ interface: this.#options.interface }, text)
  }
}

const keyOf = (note: Note): string => JSON.stringify([note.interface, note.address])

const hostAddress = ({ interface: name, address }: Note): NewAddress => ({
  interface: name,
  address: addressBytes(address),
  prefix: prefixOf(address),
})

const prefixOf = (address: string): number => (familyOf(address) === 4 ? 32 : 128)

/** Marks have no address, loopback addresses are there anyway, and 0.0.0.0 and :: are all that there are. */
const isAddable = (address: string): boolean =>
  address !== '' && address !== '0.0.0.0' && address !== '::' && !isLoopback(address)

const commandOf = (verb: string, { interface: name, address }: Note): string =>
  `"ip address ${verb} ${address}/${prefixOf(address)} dev ${name}"`

function notAdded(note: Note, error: unknown): string {
  const number = error instanceof SystemCallError ? error.errno : 0
  const cure =
    number === errno.EPERM
      ? `give Torb CAP_NET_ADMIN, or do it yourself with ${commandOf('add', note)}`
      : number === errno.EACCES
        ? `IPv6 is off there, "sysctl net.ipv6.conf.${note.interface}.disable_ipv6=0" turns it on`
        : number === errno.ENODEV
          ? 'the interface is gone, bring it back or start Torb with another -vipi'
          : `tried again every ${repairMs / 1000} s; ${commandOf('add', note)} may tell more`
  return `virtual address ${note.address} could not be added to ${note.interface} (${textOf(error)}): ${cure}`
}

const notRemoved = (note: Note, error: unknown): string =>
  `virtual address ${note.address} is not in use any more and could not be removed from ${note.interface} (${textOf(error)}): give Torb CAP_NET_ADMIN, or do it yourself with ${commandOf('del', note)}`

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
