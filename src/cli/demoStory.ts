/** What the demonstration saw at one look at the API and at the servers' consoles. Times are milliseconds of one clock. */
export interface Look {
  readonly at: number
  readonly backends: readonly BackendLook[]
}

interface BackendLook {
  readonly id: string
  readonly up: boolean
  readonly effectiveWeight: number
  /** Requests that its server has answered, by its own console. */
  readonly handled: number
}

/** One round: all servers run, one is stopped, it comes back. */
export interface Round {
  /** All backends are Up and load is on. */
  readonly startedAt: number
  readonly stoppedAt: number
  readonly returnedAt: number
  readonly endedAt: number
  readonly victim: string
  readonly pulseMs: number
  readonly looks: readonly Look[]
  /** When each request that failed was sent, and why it failed. */
  readonly failures: readonly { readonly sentAt: number; readonly reason: string }[]
}

export interface Verdict {
  readonly ok: boolean
  readonly criterion: string
  /** What was seen. */
  readonly found: string
}

/** Between the end of a check and the sight of it: the daemon, one look, a busy machine. */
const slackMs = 2000

/** Whether balance and health behaved in a round. */
export function judge(round: Round): Verdict[] {
  const { victim, pulseMs, looks, stoppedAt, returnedAt, startedAt, endedAt } = round
  const seen = (from: number, to: number): Look[] => looks.filter(({ at }) => at >= from && at <= to)
  const down = seen(stoppedAt, returnedAt).find((look) => !lookOf(look, victim).up)
  const back = seen(returnedAt, endedAt).find((look) => lookOf(look, victim).up)
  return [
    balance(seen(startedAt, stoppedAt)),
    within('the stopped server is Down within its interval', stoppedAt, down, pulseMs + slackMs),
    failures(round, down?.at ?? returnedAt),
    within('the server that came back is Up within its interval', returnedAt, back, pulseMs + slackMs),
    recovery(back === undefined ? [] : seen(back.at, endedAt), victim),
  ]
}

/** rr with equal weights: each server has the same share, but for what is under way (2 requests, or a tenth). */
function balance(looks: readonly Look[]): Verdict {
  const first = looks[0]
  const last = looks.at(-1)
  const counts =
    last?.backends.map(
      ({ id, handled }) => handled - (first === undefined ? 0 : lookOf(first, id).handled),
    ) ?? []
  const mean = counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length)
  const spread = Math.max(0, ...counts) - Math.min(...counts)
  return {
    ok: mean >= 1 && spread <= Math.max(2, mean / 10),
    criterion: 'all servers get the same share',
    found: `${counts.join(', ')} requests`,
  }
}

function within(criterion: string, since: number, look: Look | undefined, limitMs: number): Verdict {
  if (look === undefined) return { ok: false, criterion, found: 'not seen' }
  const took = look.at - since
  return { ok: took <= limitMs, criterion, found: `seen after ${(took / 1000).toFixed(1)} s` }
}

/** A request that was under way to the stopped server may fail; one sent after it was found Down may not. */
function failures({ failures, stoppedAt }: Round, downAt: number): Verdict {
  const excused = failures.filter(({ sentAt }) => sentAt >= stoppedAt - slackMs && sentAt <= downAt)
  const inexcusable = failures.length - excused.length
  const reasons = [...new Set(failures.map(({ reason }) => reason))].join(', ')
  return {
    ok: inexcusable === 0,
    criterion: 'no request fails but those on their way to the stopped server',
    found:
      failures.length === 0
        ? 'none failed'
        : `${excused.length} on their way failed, ${inexcusable} others (${reasons})`,
  }
}

/** Back in service it never loses weight again, and answers requests. */
function recovery(looks: readonly Look[], victim: string): Verdict {
  const path = looks.map((look) => lookOf(look, victim))
  const weights = path.map(({ effectiveWeight }) => effectiveWeight)
  const steady = weights.every((weight, i) => weight > 0 && weight >= (weights[i - 1] ?? 0))
  const answered = (path.at(-1)?.handled ?? 0) - (path[0]?.handled ?? 0)
  return {
    ok: path.length > 1 && steady && answered > 0,
    criterion: 'it regains weight and answers requests',
    found: `weight ${[...new Set(weights)].join(' ') || 'none'}, ${answered} requests`,
  }
}

function lookOf({ backends }: Look, id: string): BackendLook {
  return backends.find((backend) => backend.id === id) ?? { id, up: false, effectiveWeight: 0, handled: 0 }
}
