import { planFile, planFlags, stepLine } from './applyFile.ts'
import { defineCommand } from './command.ts'
import { CommandError, exit } from './exit.ts'
import { adviceLines, readInventory, rowOf } from './inventory.ts'
import { apiEnvironment, apiExit, restOf } from './rest.ts'

export const apply = defineCommand({
  page: {
    synopsis: ['torb apply [--prune] [--json] FILE'],
    description: [
      'Makes of what Torb holds what the file wants, by the fewest calls of the REST API, and prints each when it is done. What the file does not say stays as it is: fields it leaves out, and services and backends it does not name, unless --prune is given. Applied twice, the second time does nothing.',
      'The calls are made one after the other; at the first that is refused it stops, and a further "torb apply" goes on from there. FILE is written as the configuration file is, in YAML, JSON or TOML; only its services count. Lines with ! are what the data plane advises of them.',
    ],
    examples: [
      ['torb apply services.yaml', 'creates and changes'],
      ['torb apply --prune services.yaml', 'and deletes what the file does not name'],
    ],
    exit: [
      [exit.ok, 'done, or nothing to do'],
      ...apiExit,
      [exit.data, 'FILE cannot be read or has a mistake; its line is on standard error'],
    ],
    environment: apiEnvironment,
    see: ['torb plan', 'torb services'],
  },
  flags: planFlags,
  operands: { min: 1, max: 1, name: 'FILE' },

  async run({ flags, operands: [file = ''], io }) {
    const rest = restOf(flags, io)
    const { steps, held, named } = await planFile(rest, file, flags.prune)
    let done = 0
    for (const step of steps) {
      try {
        await rest.request(step.method, step.path, step.body)
      } catch (error) {
        if (!(error instanceof CommandError)) throw error
        throw new CommandError(error.code, `${error.message}; ${done} of ${steps.length} steps were done`, {
          cause: error,
        })
      }
      done++
      if (!flags.json) io.out(`${stepLine(step, io.colour)}\n`)
    }
    if (flags.json) io.out(`${JSON.stringify(steps, null, 2)}\n`)
    else if (steps.length === 0) io.out('nothing to do\n')
    if (!flags.json) {
      const now = done === 0 ? held : (await readInventory(rest)).filter(({ id }) => named.has(id))
      for (const line of adviceLines(now.map(rowOf), io.colour)) io.out(`${line}\n`)
    }
    return exit.ok
  },
})
