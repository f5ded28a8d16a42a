import { firstAddress } from '../../src/kernel/interfaces.ts'

/** Runs inside a namespace: what the interfaces there are to Node. */
export const actor = {
  firstAddress: async (name: string, added: readonly string[]): Promise<string | null> =>
    firstAddress(name, (address) => added.includes(address)),
}
export type AddressActor = typeof actor
