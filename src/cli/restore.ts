import { statSync } from 'node:fs'
import { defineCommand } from './command.ts'
import { dataDirectory, dataFlag } from './dataDirectory.ts'
import { CommandError, exit, failed } from './exit.ts'

export const restore = defineCommand({
  page: {
    synopsis: ['torb restore [--data DIR] FILE'],
    description: [
      'Puts a backup in the place of the store of a data directory, which no Torb may be running on. The backup is verified first; the old store is kept beside it under a name with the date. The next "torb serve" on the directory applies what was restored.',
    ],
    examples: [['torb restore --data /var/lib/torb /var/backups/torb-2026-11-21.db', 'back to that day']],
    exit: [
      [exit.ok, 'restored'],
      [
        exit.failed,
        'the backup is damaged or newer than this Torb, or a Torb is running on the directory; nothing was changed',
      ],
      [exit.usage, 'a flag or FILE is wrong'],
      [exit.noInput, 'there is no FILE'],
    ],
    see: ['torb backup'],
  },
  flags: { data: dataFlag },
  operands: { min: 1, max: 1, name: 'FILE' },

  async run({ flags, operands: [file = ''], io }) {
    const { restoreStore } = await import('../store/restore.ts')
    if (!statSync(file, { throwIfNoEntry: false })?.isFile())
      throw new CommandError(exit.noInput, `there is no file ${file}: name one that "torb backup" wrote`)
    const dir = dataDirectory(flags.data, io.env)
    try {
      const { kept } = restoreStore(dir, file)
      io.out(`${file} restored to ${dir}${kept === null ? '' : `; the old store is kept as ${kept}`}\n`)
    } catch (error) {
      throw failed((error as Error).message, error)
    }
    return exit.ok
  },
})
