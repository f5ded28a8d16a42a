import { request, startDaemon, type Answer, type RunningDaemon } from '../rig.ts'
import { firstAddress } from '../../src/kernel/interfaces.ts'

let daemon: RunningDaemon | null = null

/** Runs inside a namespace: what the interfaces there are to Node, and a whole Torb. */
export const actor = {
  serve: async (data: string, args: readonly string[]): Promise<void> => {
    daemon = await startDaemon({ data, args })
  },
  api: async (method: string, path: string, body?: unknown): Promise<Answer> =>
    await request(`${daemon?.url}${path}`, method, body, false),
  end: async (signal: NodeJS.Signals): Promise<void> => void (await daemon?.end(signal)),
  firstAddress: async (name: string, added: readonly string[]): Promise<string | null> =>
    firstAddress(name, (address) => added.includes(address)),
}
export type AddressActor = typeof actor
