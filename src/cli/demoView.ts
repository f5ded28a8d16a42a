import type { ServiceRow } from './inventory.ts'
import { statusStyle, weightText } from './serviceTable.ts'
import { paint, table, type Cell } from './table.ts'

export interface DemoState {
  readonly secondsLeft: number | null
  readonly requestRate: number
  readonly responseRate: number
  readonly requests: number
  readonly failed: number
  readonly service: ServiceRow
  /** Requests answered, by backend, from the servers' consoles. */
  readonly handled: ReadonlyMap<string, number>
  /** What happened, oldest first. */
  readonly story: readonly string[]
}

const barLength = 20
const storyLength = 10

/** The demonstration as lines for a terminal of this width. */
export function renderDemo(state: DemoState, width: number, colour: boolean): string[] {
  const { service, handled } = state
  const left = state.secondsLeft === null ? 'Ctrl-C ends it' : `${state.secondsLeft} s left`
  const total = [...handled.values()].reduce((sum, count) => sum + count, 0)
  const rows = service.backends.map((backend): Cell[] => {
    const count = handled.get(backend.id) ?? 0
    const share = total === 0 ? 0 : count / total
    return [
      backend.id,
      backend.address,
      { text: backend.status, style: statusStyle(backend.status) },
      weightText(backend),
      backend.health.toFixed(2),
      String(count),
      `${'█'.repeat(Math.round(share * barLength)).padEnd(barLength)} ${Math.round(share * 100)} %`,
      backend.reason,
    ]
  })
  const bold = (text: string): string => (colour ? paint('bold', text) : text)
  return [
    `${bold('torb demo')}  ${left}`,
    '',
    `load      ${state.requestRate.toFixed(1)} requests/s, ${state.responseRate.toFixed(1)} answered/s, ${state.requests} so far, ${state.failed} failed`,
    `service   ${service.address}  ${service.scheduler}  plane ${service.plane}  health ${service.health.toFixed(2)}`,
    '',
    ...table(
      [
        { title: 'BACKEND' },
        { title: 'ADDRESS' },
        { title: 'STATUS' },
        { title: 'WEIGHT', align: 'right' },
        { title: 'HEALTH', align: 'right' },
        { title: 'ANSWERED', align: 'right' },
        { title: 'SHARE' },
        { title: 'REASON' },
      ],
      rows,
      colour,
    ),
    '',
    '─'.repeat(Math.max(0, Math.min(width, 80))),
    ...state.story.slice(-storyLength),
  ]
}
