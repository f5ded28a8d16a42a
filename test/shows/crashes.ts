import { heads, violations } from './acknowledged.ts'
import type { StoreActor } from './storeActor.ts'

export interface CrashReport {
  readonly crashes: number
  readonly acknowledged: number
  /** What was lost, half-written or refused; empty where the store kept its promise. */
  readonly wrong: readonly string[]
}

/** A process or kernel that holds the store, and how to end it without warning. */
export interface Victim {
  readonly actor: StoreActor
  kill(): Promise<void>
}

/**
 * Commits on several lanes, kills the victim at a random moment, looks what a new one finds, and goes on with that one.
 *
 * @param start brings up a victim on the same storage
 * @param random 0 to 1: how much of `longestMs` each victim lives
 */
export async function crash(
  count: number,
  dir: string,
  longestMs: number,
  start: () => Promise<Victim>,
  random: () => number = Math.random,
): Promise<CrashReport> {
  const wrong: string[] = []
  let acknowledged = new Map<number, number>()
  let total = 0
  for (let crashes = 0; ; crashes++) {
    const victim = await start()
    try {
      const { head, log } = await victim.actor.open(dir)
      wrong.push(...violations(head, log, acknowledged).map((text) => `after crash ${crashes}: ${text}`))
      if (crashes === count || wrong.length > 0) return { crashes, acknowledged: total, wrong }
      acknowledged = heads(head)
      const before = sum(acknowledged)
      const lanes = Array.from(
        { length: 8 },
        async (_, lane) => await write(victim.actor, lane, acknowledged),
      )
      await new Promise((resolve) => setTimeout(resolve, random() * longestMs))
      await victim.kill()
      await Promise.all(lanes)
      total += sum(acknowledged) - before
    } finally {
      await victim.kill()
    }
  }
}

/** Commits until the victim is gone; notes what it acknowledged. */
async function write(actor: StoreActor, lane: number, acknowledged: Map<number, number>): Promise<void> {
  for (let n = (acknowledged.get(lane) ?? 0) + 1; ; n++) {
    try {
      await actor.commit(lane, n)
    } catch {
      return
    }
    acknowledged.set(lane, n)
  }
}

const sum = (numbers: ReadonlyMap<number, number>): number => [...numbers.values()].reduce((a, b) => a + b, 0)
