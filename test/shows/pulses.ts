import { measurePulses } from '../../bench/pulse.ts'
import type { Show } from './show.ts'

/** 20,000 checks at 10 s, with all targets well and with a tenth of them swallowing every packet. */
export const pulses: Show = {
  about:
    '20,000 tcp pulses at 10 s: CPU, and how late healthy checks are when a tenth of the targets is black-holed',
  async run(size) {
    const load =
      size === 'full'
        ? { targets: 20_000, intervalMs: 10_000, seconds: 40 }
        : { targets: 300, intervalMs: 1000, seconds: 3 }
    const figures: Record<string, string | number> = {
      targets: load.targets,
      interval: `${load.intervalMs / 1000} s`,
    }
    for (const [name, blackholedOneIn] of [
      ['all well', 0],
      ['10 % black-holed', 10],
    ] as const) {
      const { wrong, cpuPercent, late, mostInFlight } = await measurePulses({ ...load, blackholedOneIn })
      if (wrong.length > 0) throw new Error(`${name}: ${wrong.join('; ')}`)
      figures[`${name}: CPU`] = `${cpuPercent.toFixed(1)} % of a core`
      figures[`${name}: healthy checks late, p50 / p99 / max`] =
        `${late.p50.toFixed(1)} / ${late.p99.toFixed(1)} / ${late.max.toFixed(1)} ms`
      figures[`${name}: most in flight`] = mostInFlight
    }
    return figures
  },
}
