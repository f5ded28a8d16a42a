import { setTimeout as sleep } from 'node:timers/promises'
import type { WireFunctionList } from '../api/wireFunction.ts'
import type { TorbEvent } from '../control/events.ts'
import { defineCommand } from './command.ts'
import { parseMs } from './duration.ts'
import { exit, usage } from './exit.ts'
import { averageRates, ratesBetween, readInventory, rowOf, type ServiceRow } from './inventory.ts'
import { apiEnvironment, apiExit, apiFlags, restOf, type Rest } from './rest.ts'
import { Screen } from './screen.ts'
import { renderTop, sortKeys, type SortOrder } from './topView.ts'

const keptEvents = 50
const shortestMs = 200

export const top = defineCommand({
  page: {
    synopsis: ['torb top [--sort KEY] [--interval TIME] [--seconds N] [--json]'],
    description: [
      'Shows services and backends live, below them the functions of the gateway with their instances and sources, and the last events. It looks anew at each interval, and at once when something happens. CONN/S and BYTES/S, of both directions, are what came between two looks. Keys change the order of services: n name, c new connections a second, b bytes a second, a open connections, h health (the worst first), w weight in force; q or Ctrl-C ends it. On a terminal too low for all, one line above the tables still tells how the sources stand.',
      'Where standard output is not a terminal it prints the table at each interval, with --json one line of JSON.',
    ],
    examples: [
      ['torb top', 'the busiest first'],
      ['torb top --sort health', 'the sickest first'],
      ['torb top --json --seconds 60 > minute.jsonl', 'a minute on record'],
    ],
    exit: [[exit.ok, 'ended by q, Ctrl-C, SIGTERM or --seconds'], ...apiExit],
    environment: apiEnvironment,
    see: ['torb services', 'torb functions'],
  },
  flags: {
    ...apiFlags,
    sort: {
      kind: 'string',
      about: 'the order to begin with',
      choices: Object.values(sortKeys),
      default: 'conns',
    },
    interval: { kind: 'string', value: 'TIME', about: 'time from one look to the next', default: '1s' },
    seconds: { kind: 'integer', about: 'ends after so many seconds', min: 1, max: 1_000_000 },
  },
  operands: { min: 0, max: 0, name: '' },

  async run({ flags, io }) {
    const rest = restOf(flags, io)
    const intervalMs = parseMs('--interval', flags.interval)
    if (intervalMs < shortestMs) throw usage(`--interval must be at least ${shortestMs}ms`)
    let order = flags.sort as SortOrder
    let before: { rows: readonly ServiceRow[]; at: number } = {
      rows: (await readInventory(rest)).map(rowOf),
      at: performance.now(),
    }
    // Not before something answered: until then Ctrl-C ends the process as usual, and no listener for keys holds it.
    const interrupt = io.interrupt()
    const quit = new AbortController()
    const end = AbortSignal.any([
      interrupt.signal,
      quit.signal,
      ...(flags.seconds === undefined ? [] : [AbortSignal.timeout(flags.seconds * 1000)]),
    ])
    const live = io.tty && !flags.json
    const waker = new Waker()
    const releaseKeys = live
      ? io.keys((key) => {
          if (key === 'q' || key === '\u0003') quit.abort()
          else if (Object.hasOwn(sortKeys, key)) order = sortKeys[key as keyof typeof sortKeys]
          waker.wake()
        })
      : () => {}
    const screen = live ? new Screen((text) => io.out(text)) : null
    const events: TorbEvent[] = []
    const listening = follow(rest, end, (event) => {
      events.push(event)
      if (events.length > keptEvents) events.shift()
      waker.wake()
    })
    let rates = averageRates(before.rows)
    try {
      while (!end.aborted) {
        const [found, functions] = await Promise.all([
          readInventory(rest),
          // A screen has room for one function a line at most: no more are read.
          rest.request(
            'GET',
            screen === null ? '/functions?full' : `/functions?full&limit=${Math.max(1, io.rows())}`,
          ) as Promise<WireFunctionList>,
        ])
        const now = performance.now()
        const services = found.map(rowOf)
        // Over a shorter time a rate says nothing.
        if (now - before.at >= shortestMs) {
          rates = ratesBetween(before.rows, services, (now - before.at) / 1000)
          before = { rows: services, at: now }
        }
        if (flags.json)
          io.out(
            `${JSON.stringify({ at: new Date().toISOString(), services: found, functions: functions.functions })}\n`,
          )
        else {
          const state = { where: rest.base, services, functions, rates, order, events }
          const lines = renderTop(state, screen === null ? 10_000 : io.rows(), live && io.colour)
          if (screen === null) io.out(`${lines.join('\n')}\n\n`)
          else screen.draw(lines, io.columns(), io.rows())
        }
        await waker.wait(intervalMs, live, end)
      }
    } finally {
      quit.abort()
      screen?.close()
      releaseKeys()
      interrupt.end()
    }
    await listening
    return exit.ok
  },
})

/** Waits for the interval, or for less where something happened; never for less than a blink. */
class Waker {
  #wake: () => void = () => {}

  wake(): void {
    this.#wake()
  }

  async wait(intervalMs: number, early: boolean, signal: AbortSignal): Promise<void> {
    const stop = new AbortController()
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    const either = AbortSignal.any([signal, stop.signal])
    const slept = sleep(intervalMs, undefined, { signal: either }).catch(() => {})
    await (early ? Promise.race([woken, slept]) : slept)
    stop.abort()
    if (early && !signal.aborted) await sleep(shortestMs / 4, undefined, { signal }).catch(() => {})
  }
}

/** Hands on events until the signal; a stream that breaks is opened anew, as long as Torb answers. */
async function follow(rest: Rest, signal: AbortSignal, onEvent: (event: TorbEvent) => void): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const { type, data } of rest.events(signal)) {
        if (type !== 'missed' && type !== 'dropped' && type !== 'closing')
          onEvent(JSON.parse(data) as TorbEvent)
      }
    } catch {
      // Why it broke is told by the look at the services, which goes on meanwhile.
    }
    await sleep(1000, undefined, { signal }).catch(() => {})
  }
}
