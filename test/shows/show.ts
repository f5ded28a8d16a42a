/** What a show found: names and figures, printed as a table for docs/performance.md. A show that fails throws. */
export type Figures = Readonly<Record<string, string | number>>

export interface Show {
  readonly about: string
  /** Why it cannot be run here, with the cure; null where it can. Absent: it needs nothing. */
  readonly missing?: () => string | null
  /** Why it is no test of `npm test`. Absent: it is one, reduced. */
  readonly onlyInFull?: string
  /** It happens inside User-Mode Linux: its test may run beside others. */
  readonly inOtherKernel?: true
  /** In full: what the issue asks for. Reduced: the same code, small enough for `npm test`. */
  run(size: 'full' | 'reduced'): Promise<Figures>
}
