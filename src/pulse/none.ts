import type { CheckSpec, Probe } from './check.ts'

/** GORB's `none`: always up. */
export const none: Probe<Extract<CheckSpec, { kind: 'none' }>> = (_spec, done) => {
  const soon = setImmediate(() => done({ up: true, reason: '' }))
  return { cancel: () => clearImmediate(soon) }
}
