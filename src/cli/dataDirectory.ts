import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { defaultDataDirectory } from '../model/daemon.ts'
import type { Io } from './command.ts'
import type { Flag } from './goFlags.ts'

export const dataFlag = {
  kind: 'string',
  value: 'DIR',
  about: 'the data directory of the daemon (default /var/lib/torb for root, else $XDG_STATE_HOME/torb)',
} as const satisfies Flag

export function dataDirectory(given: string | undefined, environment: Io['env']): string {
  return resolve(given ?? defaultDataDirectory(environment, homedir(), process.getuid?.() === 0))
}
