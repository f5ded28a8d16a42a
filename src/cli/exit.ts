/** Exit codes of every command; above 2 as in sysexits.h. */
export const exit = {
  ok: 0,
  /** What was asked for is not so: the API refused, a check of `doctor` or `demo` failed. */
  failed: 1,
  usage: 64,
  data: 65,
  noInput: 66,
  unavailable: 69,
  cannotCreate: 73,
} as const
export type ExitCode = (typeof exit)[keyof typeof exit]

/** Ends a command: one sentence for standard error and an exit code. */
export class CommandError extends Error {
  readonly code: ExitCode

  constructor(code: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
    this.code = code
  }
}

export const failed = (message: string, cause?: unknown): CommandError =>
  new CommandError(exit.failed, message, { cause })
export const usage = (message: string): CommandError => new CommandError(exit.usage, message)
