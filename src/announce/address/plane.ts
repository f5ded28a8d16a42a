import type { ServiceId } from '../../model/names.ts'
import type { Outcome, Plane, VirtualService } from '../../planes/plane.ts'
import type { Addresses } from './addresses.ts'

/**
 * The plane, with each virtual address on the interface before the plane is asked and off it when no service uses it any
 * more. Several planes may share the addresses. For planes of this machine.
 */
export function withAddresses(plane: Plane, addresses: Addresses): Plane {
  const held = new Set<ServiceId>()
  const claim = (id: ServiceId, ...specs: readonly (VirtualService | null | undefined)[]): void => {
    const used = specs.filter((spec) => spec !== null && spec !== undefined)
    if (used.length > 0) held.add(id)
    else held.delete(id)
    // No name of a plane has a blank.
    addresses.claim(
      `${plane.can.name} ${id}`,
      used.map(({ address }) => address),
    )
  }
  const own: Partial<Plane> = {
    async *observe(scope) {
      for await (const [id, spec] of plane.observe(scope)) {
        if (scope === 'all') claim(id, spec)
        yield [id, spec]
      }
      if (scope === 'all') await addresses.follow()
    },
    async apply(changes) {
      for (const { key, before, after } of changes) claim(key, before, after)
      await addresses.follow()
      let outcomes: readonly Outcome[] = []
      try {
        outcomes = await plane.apply(changes)
        return outcomes
      } finally {
        changes.forEach(({ key, before, after }, index) => {
          claim(key, outcomes[index]?.ok === true ? after : before)
        })
        await addresses.follow()
      }
    },
    async withdraw(keys) {
      await plane.withdraw(keys)
      for (const key of keys) claim(key)
      await addresses.follow()
    },
    ...(plane.flush === undefined
      ? {}
      : {
          async flush() {
            await plane.flush?.()
            for (const id of held) claim(id)
            await addresses.follow()
          },
        }),
  }
  // The rest is the plane's, what it does not have included; its private fields want it as `this`.
  return new Proxy(plane, {
    get(target, name) {
      const mine: unknown = Reflect.get(own, name)
      if (mine !== undefined) return mine
      const theirs: unknown = Reflect.get(target, name)
      return typeof theirs === 'function' ? (theirs.bind(target) as unknown) : theirs
    },
  })
}
