import { constants } from 'node:os'
import { SystemCallError } from '../../kernel/ffi.ts'
import type { Ipvs, IpvsCommand } from '../../kernel/netlink/ipvsEntries.ts'
import { keyText } from './entries.ts'
import type { Plan, Step } from './plan.ts'

const { ENOENT, ESRCH } = constants.errno

export interface Refused {
  readonly command: IpvsCommand
  readonly error: Error
  /** Whether the service had been made: what is at its endpoint is then not a stranger's. */
  readonly appeared: boolean
  /** Why what was done already could not be taken back: the kernel then holds neither the old state nor the new one. */
  readonly undoing: Error | null
}

interface Progress {
  readonly plan: Plan
  readonly done: Step[]
  refused: { readonly command: IpvsCommand; readonly error: Error } | null
}

/**
 * Carries out the plans of several changes together, in at most five calls of the kernel, whatever their number.
 *
 * @returns for each plan null, or what was refused; what was done of that plan is taken back, the others are done
 */
export function carryOut(ipvs: Pick<Ipvs, 'execute'>, plans: readonly Plan[]): (Refused | null)[] {
  const all = plans.map((plan): Progress => ({ plan, done: [], refused: null }))
  const newcomers = new Set(
    plans.flatMap(({ appear }) =>
      appear?.command.do === 'add-service' ? [keyText(appear.command.service.key)] : [],
    ),
  )
  // Who leaves an endpoint that another one of this batch takes goes before it comes.
  const makesRoom = ({ command }: Step): boolean =>
    command.do === 'delete-service' && newcomers.has(keyText(command.key))
  stage(ipvs, all, ({ removals }) => removals.filter(makesRoom))
  stage(ipvs, all, ({ appear }) => (appear === null ? [] : [appear]))
  stage(ipvs, all, ({ settle }) => settle)
  stage(ipvs, all, ({ removals }) => removals.filter((step) => !makesRoom(step)))
  return takeBack(ipvs, all)
}

/** Sends one stage of all plans that were not refused yet. */
function stage(
  ipvs: Pick<Ipvs, 'execute'>,
  all: readonly Progress[],
  stepsOf: (plan: Plan) => readonly Step[],
): void {
  const work = all
    .filter(({ refused }) => refused === null)
    .flatMap((progress) => stepsOf(progress.plan).map((step) => ({ progress, step })))
  if (work.length === 0) return
  const errors = ipvs.execute(work.map(({ step }) => step.command))
  work.forEach(({ progress, step }, index) => {
    const error = errors[index] ?? null
    if (error === null) progress.done.push(step)
    else if (!isGone(step.command, error)) progress.refused ??= { command: step.command, error }
  })
}

function takeBack(ipvs: Pick<Ipvs, 'execute'>, all: readonly Progress[]): (Refused | null)[] {
  const work = all.flatMap((progress) =>
    progress.refused === null
      ? []
      : progress.done
          .toReversed()
          .flatMap(({ undo }) => undo)
          .map((command) => ({ progress, command })),
  )
  const errors = work.length === 0 ? [] : ipvs.execute(work.map(({ command }) => command))
  const undoing = new Map<Progress, Error>()
  work.forEach(({ progress, command }, index) => {
    const error = errors[index] ?? null
    if (error !== null && !isGone(command, error)) undoing.set(progress, error)
  })
  return all.map((progress) => {
    const { refused, done, plan } = progress
    if (refused === null) return null
    const appeared = plan.appear !== null && done.includes(plan.appear)
    return { ...refused, appeared, undoing: undoing.get(progress) ?? null }
  })
}

/** What was to be removed is not there: somebody else was faster, and all is well. */
export function isGone(command: IpvsCommand, error: Error): boolean {
  if (!(error instanceof SystemCallError)) return false
  if (command.do === 'delete-service') return error.errno === ESRCH
  return command.do === 'delete-destination' && (error.errno === ESRCH || error.errno === ENOENT)
}
