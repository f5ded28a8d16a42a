import type { FlagTable, Values } from './goFlags.ts'
import type { Interrupt } from './interrupt.ts'

/** One command: its manual page, its flags and what it does. */
export interface Command<T extends FlagTable = FlagTable> {
  readonly page: Page
  readonly flags: T
  /** Flags that users of GORB may expect, and why they are not there. */
  readonly absentFlags?: Readonly<Record<string, string>>
  /** How many operands it takes, and what the messages call the first that is missing. */
  readonly operands: { readonly min: number; readonly max: number; readonly name: string }
  /** @returns the exit code @throws CommandError */
  run(call: Call<T>): Promise<number>
}

interface Call<T extends FlagTable = FlagTable> {
  readonly flags: Values<T>
  readonly operands: readonly string[]
  readonly io: Io
}

/** The process as a command sees it, so that tests can be its terminal. */
export interface Io {
  out(text: string): void
  err(text: string): void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Standard output is a terminal. */
  readonly tty: boolean
  /** It shows colours, and they are wanted (NO_COLOR, TERM). */
  readonly colour: boolean
  columns(): number
  rows(): number
  /** Tells each key pressed, Ctrl-C included, until the function it returns is called. Does nothing without a terminal. */
  keys(onKey: (key: string) => void): () => void
  /** Begins to listen for SIGINT and SIGTERM; a second one ends the process at once. */
  interrupt(): Interrupt
}

/** The parts of a manual page that the flags do not tell. */
interface Page {
  readonly synopsis: readonly string[]
  /** Paragraphs. */
  readonly description: readonly string[]
  readonly examples: readonly (readonly [command: string, what: string])[]
  readonly exit: readonly (readonly [code: number, when: string])[]
  readonly files?: readonly (readonly [file: string, what: string])[]
  readonly environment?: readonly (readonly [name: string, what: string])[]
  readonly see?: readonly string[]
}

/** Keeps the flags' literal types, from which the types of their values are made. */
export function defineCommand<const T extends FlagTable>(command: Command<T>): Command<T> {
  return command
}
