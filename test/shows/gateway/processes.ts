import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { treeCpuSeconds, treeResidentBytes } from '../../../bench/processTree.ts'
import type { Methods } from '../../../lab/channel.ts'
import { startActor } from '../../../lab/process.ts'
import type { GatewayOptions } from '../../../src/gateway/gateway.ts'
import { ringMissing } from '../../../src/kernel/uring/probe.ts'
import type { Figures } from '../show.ts'
import type { EngineActor } from './engine.actor.ts'
import type { InstanceActor } from './instance.actor.ts'
import type { LoadActor } from './load.actor.ts'
import type { PacedActor } from './paced.actor.ts'
import type { SlowActor } from './slow.actor.ts'

/** An actor and its process, which ends with the scope. */
export interface Started<T> extends AsyncDisposable {
  readonly actor: T
  readonly pid: number
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>
}

async function start<T extends Methods>(module: string): Promise<Started<T>> {
  const children: ChildProcess[] = []
  const actor = await startActor<T>(new URL(module, import.meta.url), [], (child) => children.push(child))
  const child = children[0]
  if (child === undefined) throw new Error(`${module} has no process`)
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  return { actor, pid: child.pid ?? 0, kill, [Symbol.asyncDispose]: kill }
}

export const startInstances = (): Promise<Started<InstanceActor>> => start('instance.actor.ts')
export const startLoad = (): Promise<Started<LoadActor>> => start('load.actor.ts')
export const startPaced = (): Promise<Started<PacedActor>> => start('paced.actor.ts')
export const startSlow = (): Promise<Started<SlowActor>> => start('slow.actor.ts')

/** A gateway in a process of its own, and what the kernel says of that. */
export interface RunningGateway extends Started<EngineActor> {
  readonly port: number
  readonly transport: string
  readonly cpuSeconds: () => number
  readonly residentBytes: () => number
  readonly descriptors: () => number
}

export async function startGateway(options: Partial<GatewayOptions> = {}): Promise<RunningGateway> {
  const started = await start<EngineActor>('engine.actor.ts')
  const { port, transport } = await started.actor.start(options)
  const { pid } = started
  return {
    ...started,
    port,
    transport,
    cpuSeconds: () => treeCpuSeconds(pid),
    residentBytes: () => treeResidentBytes(pid),
    descriptors: () => readdirSync(`/proc/${pid}/fd`).length,
  }
}

/** Figures over each transport that can be had here; reduced: over the best one. */
export async function overTransports(
  size: 'full' | 'reduced',
  run: (transport: 'ring' | 'portable') => Promise<Figures>,
): Promise<Figures> {
  const all = (await ringMissing()) === null ? (['ring', 'portable'] as const) : (['portable'] as const)
  const figures: Record<string, string | number> = {}
  for (const transport of size === 'full' ? all : all.slice(0, 1)) {
    const found = await run(transport).catch((error: Error) => {
      throw new Error(`over the ${transport} transport: ${error.message}`, { cause: error })
    })
    for (const [what, figure] of Object.entries(found)) figures[`${transport}: ${what}`] = figure
  }
  return figures
}
