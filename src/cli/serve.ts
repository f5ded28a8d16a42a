import { defineCommand, type Io } from './command.ts'
import { exit, failed, usage } from './exit.ts'
import { absentFlags, givenOptions, serveFlags } from './serveFlags.ts'
import type { DaemonOptions } from '../model/daemon.ts'
import type { FlagTable, Values } from './goFlags.ts'

/** How long the orderly end may take before the process ends anyway. */
const closeLimitMs = 15_000

export const serve = defineCommand({
  page: {
    synopsis: [
      'torb serve [-l [HOST]:PORT] [-i IFACE] [-f] [-c URL] [-vipi IFACE] [-v] [--plane PLANE] [--data DIR] [--config FILE] ...',
    ],
    description: [
      'Runs the load balancer in the foreground. Services and backends come by the REST API and from the configuration file; they are kept in the data directory and are there again after a restart. When the API answers, one line is printed to standard output, "torb ready http://HOST:PORT plane=NAME"; the log goes to standard error, one JSON object a line.',
      "Flags are written as GORB's users know them: with one or two dashes, the value behind a blank or an equals sign (-l :4672, --listen=:4672), booleans alone or with a value (-f, -f=true).",
      'SIGTERM and SIGINT end it in order: nothing new is accepted, what is in flight finishes within a limit, and a plane in the kernel goes on carrying traffic. A second signal ends it at once. SIGHUP reads the configuration file again; a file with a mistake changes nothing and is reported with its line.',
    ],
    examples: [
      ['torb serve -f -i lo', 'a fresh start with the loopback address as the default virtual address'],
      ['torb serve -l 127.0.0.1:0 --data /tmp/torb --plane userspace', 'beside another one, on a free port'],
      ['torb serve --config /etc/torb.yaml', 'options and services from a file'],
    ],
    exit: [
      [exit.ok, 'ended by SIGTERM or SIGINT, in order'],
      [exit.failed, 'could not start, or did not end within the limit; the reason is on standard error'],
      [exit.usage, 'a flag is unknown or has a wrong value'],
    ],
    files: [
      ['/var/lib/torb, $XDG_STATE_HOME/torb, ~/.local/state/torb', 'the data directory: as root, else'],
      ['DATA/token', 'the token of the API, made at the first start, readable by the owner alone'],
      ['$XDG_CACHE_HOME/torb, ~/.cache/torb', 'what Node compiled of Torb, which halves the time of a start'],
    ],
    environment: [
      ['TORB_TOKEN', 'the token of the API, instead of the one in DATA/token'],
      ['CONSUL_HTTP_TOKEN', 'the ACL token for the Consul agent of -c'],
      ['XDG_STATE_HOME', 'where the data directory lies by default'],
      ['NODE_COMPILE_CACHE', 'where Node keeps what it compiled; empty: nowhere'],
    ],
    see: ['torb services', 'torb top', 'torb apply', 'torb doctor'],
  },
  flags: serveFlags,
  absentFlags,
  operands: { min: 0, max: 0, name: '' },

  run: async ({ flags, io }) => await runDaemon('torb serve', io, startOptions(flags)),
})

type StartOptions = DaemonOptions & { readonly config?: string }

/** Runs the daemon until it is told to end. @param usual options that flags and file go before */
export async function runDaemon(
  name: string,
  io: Io,
  options: StartOptions,
  usual: DaemonOptions = {},
): Promise<number> {
  const interrupt = io.interrupt()
  const starting = import('../daemon/daemon.ts').then(
    async ({ startDaemon }) => await startDaemon(options, usual),
  )
  // A reload that is asked for during the start follows it.
  const onHangup = (): void =>
    void starting.then(async (daemon) => await daemon.reload()).catch(() => undefined)
  process.on('SIGHUP', onHangup)
  const daemon = await starting.catch((error: unknown) => {
    interrupt.end()
    process.off('SIGHUP', onHangup)
    throw failed(error instanceof Error ? error.message : String(error), error)
  })
  io.out(`torb ready ${daemon.url} plane=${daemon.plane}\n`)

  await interrupt.received
  const limit = setTimeout(() => {
    io.err(`${name}: did not end within ${closeLimitMs / 1000} s: ended now\n`)
    process.exit(exit.failed)
  }, closeLimitMs)
  await daemon.close().catch((error: unknown) => {
    throw failed(`did not end in order: ${error instanceof Error ? error.message : String(error)}`, error)
  })
  clearTimeout(limit)
  process.off('SIGHUP', onHangup)
  interrupt.end()
  return exit.ok
}

/** What the flags say. @throws CommandError of usage */
export function startOptions(flags: Values<FlagTable>): StartOptions {
  const { config } = flags
  try {
    return { ...givenOptions(flags), ...(typeof config === 'string' ? { config } : {}) }
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error))
  }
}
