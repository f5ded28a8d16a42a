import type { DaemonOptions } from '../../model/daemon.ts'
import { parseInterval } from '../../model/duration.ts'
import { feedbackDefaults } from './controller.ts'
import type { FeedbackSettings } from './start.ts'

const intervalMs = 5000

/**
 * What the daemon's options say of feedback; null: it is not wanted.
 *
 * @throws Error where the weights are to go to an etcd that is not there
 */
export function feedbackOptions(options: DaemonOptions): FeedbackSettings | null {
  const { feedback_interval: interval, feedback_max_step: step, feedback_floor: floor } = options
  if (options.feedback !== true) return null
  const writes = options.feedback_etcd ?? false
  if (writes && (options.etcd ?? []).length === 0)
    throw new Error('feedback cannot write to etcd, which is not given: give it with --etcd')
  return {
    intervalMs: interval === undefined ? intervalMs : parseInterval(interval),
    controller: {
      ...feedbackDefaults,
      ...(step === undefined ? {} : { maxStep: step / 100 }),
      ...(floor === undefined ? {} : { floor: floor / 100 }),
    },
    writes,
  }
}
