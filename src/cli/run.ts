import type { Command, Io } from './command.ts'
import { CommandError, exit } from './exit.ts'
import { parseFlags } from './goFlags.ts'
import type { Entry } from './index.ts'
import { manualPage, overview } from './manual.ts'
import { nearest } from '../model/nearest.ts'

/**
 * Runs one command line.
 *
 * @returns the exit code; whatever went wrong has been told in one sentence on standard error
 */
export async function runCommandLine(
  argv: readonly string[],
  commands: Readonly<Record<string, Entry>>,
  version: string,
  io: Io,
): Promise<number> {
  const [first, ...rest] = argv
  if (first === undefined || ['help', '--help', '-help', '-h'].includes(first)) {
    const [topic] = rest
    if (topic !== undefined) return runCommandLine([topic, '--help'], commands, version, io)
    io[first === undefined ? 'err' : 'out'](overview(commands, version))
    return first === undefined ? exit.usage : exit.ok
  }
  if (['--version', '-version', 'version'].includes(first)) {
    io.out(`torb ${version}\n`)
    return exit.ok
  }
  const entry = Object.hasOwn(commands, first) ? commands[first] : undefined
  if (entry === undefined) {
    const close = nearest(first, Object.keys(commands))
    const cure = close === null ? 'torb --help lists those there are' : `did you mean torb ${close}?`
    io.err(`torb: unknown command "${first}": ${cure}\n`)
    return exit.usage
  }

  const command = await entry.load()
  const parsed = parseFlags(rest, command.flags, command.absentFlags)
  if (parsed.kind === 'help') {
    io.out(manualPage(first, entry.summary, command, io.columns()))
    return exit.ok
  }
  if (parsed.kind === 'error') return complain(io, first, parsed.message, exit.usage)
  const { min, max, name } = command.operands
  const { operands, flags } = parsed
  if (operands.length < min) {
    return complain(io, first, `${name} is missing: ${forms(command)}`, exit.usage)
  }
  const surplus = operands[max]
  if (surplus !== undefined) {
    return complain(io, first, `"${surplus}" is one operand too many: ${forms(command)}`, exit.usage)
  }
  try {
    return await command.run({ flags, operands, io })
  } catch (error) {
    if (error instanceof CommandError) return complain(io, first, error.message, error.code)
    throw error
  }
}

const forms = ({ page }: Pick<Command, 'page'>): string => page.synopsis.join(', or ')

function complain(io: Io, command: string, message: string, code: number): number {
  io.err(`torb ${command}: ${message}\n`)
  return code
}
