import { describe, expect, it } from 'vitest'
import { defineCommand } from './command.ts'
import { CommandError, exit } from './exit.ts'
import type { Entry } from './index.ts'
import { runCommand } from '../../test/fixtures/commandLine.ts'

const greet = defineCommand({
  page: {
    synopsis: ['torb greet [--loud] NAME', 'torb greet --times N NAME'],
    description: ['Greets.'],
    examples: [['torb greet you', 'greets you']],
    exit: [[0, 'greeted']],
  },
  flags: {
    loud: { kind: 'boolean', about: 'louder', default: false },
    times: { kind: 'integer', about: 'how often', default: 1, min: 1, max: 9 },
  },
  operands: { min: 1, max: 1, name: 'NAME' },
  async run({ flags, operands, io }) {
    if (operands[0] === 'nobody') throw new CommandError(exit.data, 'there is nobody')
    if (operands[0] === 'bug') throw new TypeError('bug')
    io.out(`${flags.loud ? 'HELLO' : 'hello'} ${operands[0]}`.repeat(flags.times))
    return 7
  },
})

const commands: Readonly<Record<string, Entry>> = {
  greet: { summary: 'says hello', load: async () => greet },
}

const run = (...argv: string[]): Promise<{ code: number; out: string; err: string }> =>
  runCommand(commands, ...argv)

it('runs a command with its flags and operands', async () => {
  expect(await run('greet', 'you', '-loud', '--times=2')).toEqual({
    code: 7,
    out: 'HELLO youHELLO you',
    err: '',
  })
})

describe('what is wrong is told in one sentence', () => {
  it.each([
    [['gret'], 64, 'torb: unknown command "gret": did you mean torb greet?\n'],
    [['elephant'], 64, 'torb: unknown command "elephant": torb --help lists those there are\n'],
    [['__proto__'], 64, 'torb: unknown command "__proto__": torb --help lists those there are\n'],
    [['greet'], 64, 'torb greet: NAME is missing: torb greet [--loud] NAME, or torb greet --times N NAME\n'],
    [
      ['greet', 'a', 'b'],
      64,
      'torb greet: "b" is one operand too many: torb greet [--loud] NAME, or torb greet --times N NAME\n',
    ],
    [['greet', '--lout', 'a'], 64, 'torb greet: unknown flag --lout: did you mean --loud?\n'],
    [
      ['greet', '--times', '0', 'a'],
      64,
      'torb greet: --times cannot be "0": it takes a whole number from 1 to 9\n',
    ],
    [['greet', 'nobody'], 65, 'torb greet: there is nobody\n'],
  ])('%j', async (argv, code, err) => {
    expect(await run(...argv)).toEqual({ code, out: '', err })
  })

  it('but an error of the program is not hidden', async () => {
    await expect(run('greet', 'bug')).rejects.toThrow('bug')
  })
})

it('shows versions, the list of commands and pages', async () => {
  expect(await run('--version')).toEqual({ code: 0, out: 'torb 1.2.3\n', err: '' })
  const list = await run('--help')
  expect(list.out).toContain('    greet  says hello\n')
  expect(await run('help')).toEqual(list)
  expect(await run()).toEqual({ code: 64, out: '', err: list.out })
  const page = await run('greet', '-h')
  expect(await run('help', 'greet')).toEqual(page)
  expect(page.out).toMatchInlineSnapshot(`
    "NAME
        torb greet - says hello

    SYNOPSIS
        torb greet [--loud] NAME
        torb greet --times N NAME

    DESCRIPTION
        Greets.

    OPTIONS
        --loud
            louder
        --times N
            how often (default 1)
        -h, --help
            shows this page

    EXAMPLES
        torb greet you
            greets you

    EXIT STATUS
        0
            greeted
    "
  `)
})
