import { setTimeout as sleep } from 'node:timers/promises'
import { defineCommand } from './command.ts'
import { parseMs } from './duration.ts'
import { exit, usage } from './exit.ts'
import {
  adviceLines,
  averageRates,
  ratesBetween,
  readInventory,
  readService,
  rowOf,
  type Rates,
  type ServiceRow,
  type WireServiceInFull,
} from './inventory.ts'
import { apiEnvironment, apiExit, apiFlags, restOf } from './rest.ts'
import { serviceTable } from './serviceTable.ts'

export const services = defineCommand({
  page: {
    synopsis: ['torb services [ID] [--sample TIME] [--json]'],
    description: [
      'Shows every service, or the one with this id, and its backends: address, scheduler and plane, status, weight, health, open connections, new connections and bytes a second. A weight such as 62/100 is the one in force and the configured one. REASON says why a backend is out or on its way back, and for a service what the plane refuses or who lags behind (accepted: it is not in effect everywhere yet). Lines with ! are advice of the data plane.',
      'The rates are averages of the last seconds, of both directions, as the data plane measures them; with --sample what comes in that time. --json has all counters, and rates in each direction.',
    ],
    examples: [
      ['torb services', 'all of them'],
      ['torb services web --json', 'one, for a program'],
    ],
    exit: [[exit.ok, 'shown'], ...apiExit],
    environment: apiEnvironment,
    see: ['torb top', 'torb explain'],
  },
  flags: {
    ...apiFlags,
    sample: {
      kind: 'string',
      value: 'TIME',
      about: 'counts for so long instead of showing averages',
      default: '0s',
    },
  },
  operands: { min: 0, max: 1, name: 'ID' },

  async run({ flags, operands, io }) {
    const rest = restOf(flags, io)
    const sampleMs = parseMs('--sample', flags.sample)
    const [id] = operands
    if (id === '') throw usage('ID is empty: leave it out to see all services')
    const read = async (): Promise<WireServiceInFull[]> =>
      id === undefined ? readInventory(rest) : [await readService(rest, id)]
    if (flags.json) {
      const found = await read()
      io.out(`${JSON.stringify(id === undefined ? found : found[0], null, 2)}\n`)
      return exit.ok
    }
    const first = (await read()).map(rowOf)
    const since = performance.now()
    const show = (rows: readonly ServiceRow[], rates: Rates): void => {
      const advice = adviceLines(rows, io.colour)
      const lines = [...serviceTable(rows, rates, io.colour), ...(advice.length === 0 ? [] : ['', ...advice])]
      io.out(`${lines.join('\n')}\n`)
    }
    if (sampleMs === 0 || first.length === 0) {
      show(first, averageRates(first))
      return exit.ok
    }
    await sleep(sampleMs)
    const second = (await read()).map(rowOf)
    show(second, ratesBetween(first, second, (performance.now() - since) / 1000))
    return exit.ok
  },
})
