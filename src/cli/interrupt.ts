import { constants } from 'node:os'

export interface Interrupt {
  readonly signal: AbortSignal
  /** Resolves with the first signal. */
  readonly received: Promise<NodeJS.Signals>
  /** Stops listening. */
  end(): void
}

/** The first SIGINT or SIGTERM is told; the second ends the process at once, with the status a shell gives that signal. */
export function listenForInterrupt(): Interrupt {
  const controller = new AbortController()
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  const onSignal = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) {
      // An exit, not the signal's own action, so that 'exit' listeners can end child processes.
      process.exit(128 + constants.signals[name])
    }
    controller.abort()
    resolve(name)
  }
  const end = (): void => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return { signal: controller.signal, received: promise, end }
}
