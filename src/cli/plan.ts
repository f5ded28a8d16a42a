import { planFile, planFlags, stepLine } from './applyFile.ts'
import { defineCommand } from './command.ts'
import { exit } from './exit.ts'
import { adviceLines, rowOf } from './inventory.ts'
import { apiEnvironment, apiExit, restOf } from './rest.ts'

export const plan = defineCommand({
  page: {
    synopsis: ['torb plan [--prune] [--json] FILE'],
    description: [
      'Shows what "torb apply FILE" would do: the fewest calls of the REST API that make of what Torb holds what the file wants. Nothing is changed. FILE is written as the configuration file is, in YAML, JSON or TOML; only its services count.',
      'A line begins with + for what would be created, ~ for what would be changed and - for what would be deleted. A service whose address, or a backend whose address or forwarding, differs is deleted and created anew. Lines with ! are what the data plane advises of the services of the file as they are now.',
    ],
    examples: [['torb plan services.yaml', 'look before the leap']],
    exit: [
      [exit.ok, 'shown, also where there is nothing to do'],
      ...apiExit,
      [exit.data, 'FILE cannot be read or has a mistake; its line is on standard error'],
    ],
    environment: apiEnvironment,
    see: ['torb apply'],
  },
  flags: planFlags,
  operands: { min: 1, max: 1, name: 'FILE' },

  async run({ flags, operands: [file = ''], io }) {
    const { steps, held } = await planFile(restOf(flags, io), file, flags.prune)
    if (flags.json) io.out(`${JSON.stringify(steps, null, 2)}\n`)
    else if (steps.length === 0) io.out('nothing to do\n')
    else for (const step of steps) io.out(`${stepLine(step, io.colour)}\n`)
    if (!flags.json) for (const line of adviceLines(held.map(rowOf), io.colour)) io.out(`${line}\n`)
    return exit.ok
  },
})
