import { defineCommand } from './command.ts'
import { CommandError, exit } from './exit.ts'
import { dataDirectory, dataFlag } from './dataDirectory.ts'
import { existsSync } from 'node:fs'

export const backup = defineCommand({
  page: {
    synopsis: ['torb backup [--data DIR] FILE'],
    description: [
      'Writes all services and backends of a data directory into a new file, consistently, also while a Torb is running on it. The file appears complete or not at all; one that is there already is not overwritten. The API token is not part of it.',
    ],
    examples: [['torb backup --data /var/lib/torb /var/backups/torb-$(date +%F).db', 'a copy of today']],
    exit: [
      [exit.ok, 'written'],
      [exit.usage, 'a flag or FILE is wrong'],
      [exit.noInput, 'there is no store in the data directory'],
      [exit.cannotCreate, 'FILE could not be written'],
    ],
    files: [['DATA/store.db', 'the store']],
    see: ['torb restore'],
  },
  flags: { data: dataFlag },
  operands: { min: 1, max: 1, name: 'FILE' },

  async run({ flags, operands: [file = ''], io }) {
    const { backupStore } = await import('../store/backup.ts')
    const { layoutOf } = await import('../store/layout.ts')
    const dir = dataDirectory(flags.data, io.env)
    if (!existsSync(layoutOf(dir).database)) {
      throw new CommandError(exit.noInput, `no store in ${dir}: name the directory of the daemon with --data`)
    }
    try {
      backupStore(dir, file)
    } catch (error) {
      throw new CommandError(exit.cannotCreate, (error as Error).message, { cause: error })
    }
    io.out(`backup of ${dir} written to ${file}\n`)
    return exit.ok
  },
})
