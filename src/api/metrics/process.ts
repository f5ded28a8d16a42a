import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { labels, type Exposition } from './exposition.ts'

/** The metrics of the process itself, under the names that Prometheus clients share. */
export class ProcessMetrics {
  // 20 ms: a lag worth showing is longer, and the timer costs 50 wake-ups a second.
  readonly #lag = monitorEventLoopDelay({ resolution: 20 })
  readonly #startedAt = Date.now() / 1000 - process.uptime()
  readonly #openFileLimit: number
  readonly #version: string

  constructor(openFileLimit: number, version: string) {
    this.#openFileLimit = openFileLimit
    this.#version = version
    this.#lag.enable()
  }

  write(out: Exposition): void {
    const { user, system } = process.cpuUsage()
    const memory = process.memoryUsage()
    out.single('process_cpu_seconds_total', 'counter', 'User and system CPU time.', (user + system) / 1e6)
    out.single('process_resident_memory_bytes', 'gauge', 'Resident memory.', memory.rss)
    out.single(
      'process_start_time_seconds',
      'gauge',
      'Start of the process since the epoch.',
      this.#startedAt,
    )
    const open = openFiles()
    if (open !== null) out.single('process_open_fds', 'gauge', 'Open file descriptors.', open)
    out.single('process_max_fds', 'gauge', 'Limit of open file descriptors.', this.#openFileLimit)
    // NaN before the first sample.
    const seconds = (nanoseconds: number): number => (Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0)
    out.single(
      'nodejs_eventloop_lag_seconds',
      'gauge',
      'Mean delay of timers since the last scrape.',
      seconds(this.#lag.mean),
    )
    out.single(
      'nodejs_eventloop_lag_p99_seconds',
      'gauge',
      'Its 99th percentile.',
      seconds(this.#lag.percentile(99)),
    )
    out.single('nodejs_eventloop_lag_max_seconds', 'gauge', 'The longest.', seconds(this.#lag.max))
    this.#lag.reset()
    out.single('nodejs_heap_size_total_bytes', 'gauge', 'Heap taken from the system.', memory.heapTotal)
    out.single('nodejs_heap_size_used_bytes', 'gauge', 'Heap in use.', memory.heapUsed)
    out.single('nodejs_external_memory_bytes', 'gauge', 'Memory outside the heap.', memory.external)
    out.family('torb_build_info', 'gauge', 'Versions of Torb and Node.')
    out.sample('torb_build_info', labels({ version: this.#version, node: process.version }), 1)
  }

  close(): void {
    this.#lag.disable()
  }
}

/** null where /proc is not there, as on macOS. */
function openFiles(): number | null {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return null
  }
}
