import { setTimeout as sleep } from 'node:timers/promises'
import { ovnMissing, startOvn, type OvnLab } from '../../lab/ovn/ovn.ts'
import { OvsdbServers, ovnSchemas } from '../../lab/ovn/ovsdbServers.ts'
import { seeded } from '../rig.ts'
import { layOutTrial, Trial } from './ovnTrial.ts'
import type { Figures, Show } from './show.ts'

const sizes = {
  full: {
    writes: 1000,
    cluster: 200,
    between: 25,
    pauseMs: 100,
    awayMs: 5000,
    refusals: 8,
    flaps: 8,
    hangs: 2,
    kills: 5,
  },
  reduced: {
    writes: 60,
    cluster: 0,
    between: 8,
    pauseMs: 5,
    awayMs: 200,
    refusals: 0,
    flaps: 0,
    hangs: 0,
    kills: 0,
  },
} as const
type Size = (typeof sizes)[keyof typeof sizes]

/** Everything that a Torb over an OVN leans on dies or hangs under its writes, and Torb itself. */
export const ovnFaults: Show = {
  about:
    '1,000 writes while databases, northd, a chassis and Torb itself are killed, held and flap: none lost, doubled or half done, states shown truly',
  missing: ovnMissing,
  async run(asked) {
    const size = sizes[asked]
    const seed = Number(process.env['TORB_SEED'] ?? Date.now() % 1e9)
    const figures = await alone(size, seed)
    return { ...figures, ...(size.cluster === 0 ? {} : await cluster(size, seed)), seed }
  },
}

/** One northbound server, two chassis. */
async function alone(size: Size, seed: number): Promise<Figures> {
  using lab = await startOvn({ chassis: 2 })
  await layOutTrial(lab)
  await using trial = await Trial.start(lab, { random: seeded(seed), seed, pauseMs: size.pauseMs })
  const faults = [
    away,
    flapping,
    hanging,
    withoutNorthd,
    withoutChassis,
    killedInTheMiddle,
    killedAfterRefusal,
  ]
  for (const fault of faults) {
    await trial.writes(size.between)
    await fault(lab, trial, size)
  }
  await trial.writes(Math.max(size.between, size.writes - trial.acknowledged))
  await trial.finish()
  return told('', trial)
}

/** The northbound server is dead: writes are refused, it is shown why, and all goes on when it is back. */
async function away(lab: OvnLab, trial: Trial, { awayMs, refusals }: Size): Promise<void> {
  await lab.nb.kill()
  await shownAway(trial)
  await trial.refusals(refusals)
  await sleep(awayMs)
  if ((await trial.services()).length === 0) throw new Error('no service is shown while the database is away')
  await lab.nb.start()
  await trial.until('a database that is back', async () => (await trial.plane()).facts.northbound.connected)
}

async function shownAway(trial: Trial): Promise<void> {
  await trial.until('a plane that says that its database is away', async () => {
    const { connected, problem } = (await trial.plane()).facts.northbound
    return !connected && /OVN_Northbound cannot be used at unix:/.test(problem)
  })
}

/** The server's socket comes and goes. */
async function flapping(lab: OvnLab, trial: Trial, { flaps, between }: Size): Promise<void> {
  for (let flap = 0; flap < flaps; flap++) {
    if (flap % 2 === 0) lab.nb.freeze()
    else await lab.nb.kill()
    await sleep(1000)
    if (flap % 2 === 0) lab.nb.thaw()
    else await lab.nb.start()
    await trial.writes(Math.ceil(between / 4))
  }
}

/** It hangs until writes are refused of which nobody knows whether they were done, and then carries them out. */
async function hanging(lab: OvnLab, trial: Trial, { hangs }: Size): Promise<void> {
  for (let hang = 0; hang < hangs; hang++) {
    await hangUntilRefusal(lab, trial, hang)
    lab.nb.thaw()
    await trial.until('a database that is back', async () => (await trial.plane()).facts.northbound.connected)
    await trial.writes(1)
  }
}

/** @param hang in turn a creation is what hangs, and what the clients happen to write */
async function hangUntilRefusal(lab: OvnLab, trial: Trial, hang: number): Promise<void> {
  if (hang % 2 === 0) {
    await trial.pause()
    lab.nb.freeze()
    await trial.creationRefused()
    trial.resume()
  } else lab.nb.freeze()
  await trial.refusals(4)
}

/** What Torb has accepted still waits for northd after a kill -9. */
async function withoutNorthd(lab: OvnLab, trial: Trial, { between, awayMs, kills }: Size): Promise<void> {
  await lab.northd.kill()
  await trial.without('northd', between, async () => {
    if (kills > 0) await trial.killTorb()
  })
  const { northd } = (await trial.plane()).facts
  if (!northd.startsWith('has not followed since')) throw new Error(`while northd is dead it ${northd}`)
  await sleep(awayMs)
  await lab.northd.start()
}

async function withoutChassis(lab: OvnLab, trial: Trial, { between, awayMs }: Size): Promise<void> {
  const last = lab.chassis.at(-1)
  await last?.controller.kill()
  await trial.without(last?.name ?? '', between, () => sleep(awayMs))
  await last?.controller.start()
}

async function killedInTheMiddle(_lab: OvnLab, trial: Trial, { kills, between }: Size): Promise<void> {
  for (let kill = 0; kill < kills; kill++) {
    await trial.writes(between)
    await trial.killTorb()
  }
}

/** Torb refuses writes to a server that hangs, and is killed before it can take back what that carries out later. */
async function killedAfterRefusal(lab: OvnLab, trial: Trial, { hangs }: Size): Promise<void> {
  for (let hang = 0; hang < hangs; hang++) {
    await hangUntilRefusal(lab, trial, hang)
    await trial.killTorb(async () => {
      lab.nb.thaw()
      await lab.sync()
    })
  }
}

/** A cluster of three northbound servers whose leader is killed, again and again. */
async function cluster(size: Size, seed: number): Promise<Figures> {
  await using servers = await OvsdbServers.start({ schema: ovnSchemas.northbound, members: 3 })
  using lab = await startOvn({ chassis: 1, northbound: servers.unix })
  await layOutTrial(lab)
  await using trial = await Trial.start(lab, { random: seeded(seed), seed, pauseMs: size.pauseMs })
  for (let killed = 0; killed < 4; killed++) {
    await trial.writes(size.between)
    const leader = await servers.leader()
    await servers.kill(leader)
    await trial.writes(size.between)
    await servers.start(leader)
  }
  await trial.writes(Math.max(size.between, size.cluster - trial.acknowledged))
  await trial.finish()
  return told('cluster of three whose leader is killed four times: ', trial)
}

const told = (of: string, { acknowledged, refused, kills, held }: Trial): Figures => ({
  [`${of}writes acknowledged`]: acknowledged,
  [`${of}refused with 503`]: refused,
  [`${of}lost, doubled, orphaned or half done`]: 0,
  ...(kills === 0 ? {} : { [`${of}kill -9 of Torb`]: kills }),
  ...(held === 0
    ? {}
    : { [`${of}acknowledged and shown as not in effect yet while somebody was dead`]: held }),
})
