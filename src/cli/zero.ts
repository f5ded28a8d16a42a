import { defineCommand } from './command.ts'
import { exit, usage } from './exit.ts'
import { apiEnvironment, apiExit, apiFlags, restOf } from './rest.ts'

const { json: _json, ...flags } = apiFlags

export const zero = defineCommand({
  page: {
    synopsis: ['torb zero [SERVICE]'],
    description: [
      'Sets the counters of all services and backends to zero, or those of one service and its backends: connections, packets, bytes, errors, connect times and rates, as ipvsadm --zero does. What is open stays open and is counted as such.',
    ],
    examples: [
      ['torb zero', 'before a measurement'],
      ['torb zero web', 'only one service'],
    ],
    exit: [[exit.ok, 'they are zero'], ...apiExit],
    environment: apiEnvironment,
    see: ['torb services'],
  },
  flags,
  operands: { min: 0, max: 1, name: 'SERVICE' },

  async run({ flags, operands, io }) {
    const [id] = operands
    if (id === '') throw usage('SERVICE is empty: leave it out to mean all services')
    const path = id === undefined ? '/counters/zero' : `/counters/zero/${encodeURIComponent(id)}`
    await restOf({ ...flags, json: false }, io).request('POST', path)
    return exit.ok
  },
})
