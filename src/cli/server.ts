import { parseMs } from './duration.ts'
import { defineCommand } from './command.ts'
import { exit } from './exit.ts'
import { listening } from './listening.ts'
import { workServer } from './workServer.ts'

export const server = defineCommand({
  page: {
    synopsis: ['torb server [--host ADDR] [--port N] [--work TIME]'],
    description: [
      'A web server to balance over, slow on purpose: it serves one connection at a time and does one piece of work at a time, so that one server with the default of 500ms answers two requests a second. Further connections wait in line.',
      'GET /doWork does the work and answers 200. /heartbeat answers "tick" at once. /stop ends the process at once, with exit status 0 and without an answer. Everything else is 404. Each piece of work is told on standard output when it begins and when it is answered.',
      'A client that keeps its connection open keeps the only place: clients should close their connections.',
    ],
    examples: [
      ['torb server --host 127.0.0.2', 'the first server of the tutorial'],
      ['torb server --host 127.0.0.3', 'the second one, on the same laptop'],
      ['torb server --port 0 --work 20ms', 'a faster one, on a free port, which it prints'],
    ],
    exit: [
      [exit.ok, 'ended by /stop, SIGTERM or SIGINT'],
      [exit.usage, 'a flag is unknown or has a wrong value'],
      [exit.unavailable, 'the address or the port cannot be had'],
    ],
    see: ['torb client', 'torb serve'],
  },
  flags: {
    host: { kind: 'string', value: 'ADDR', about: 'address to listen on; all of them where it is not given' },
    port: { kind: 'integer', about: 'port to listen on; 0 takes any free one', default: 4444, max: 65535 },
    work: {
      kind: 'string',
      value: 'TIME',
      about: 'how long one piece of work takes, such as 500ms or 2s',
      default: '500ms',
    },
  },
  operands: { min: 0, max: 0, name: '' },

  async run({ flags, io }) {
    const workMs = parseMs('--work', flags.work)
    const say = (line: string): void => io.out(`${line}\n`)
    const program = workServer(workMs, say, () => process.exit(exit.ok))
    const place = await listening(program.server, flags.host, flags.port)
    say(`torb server ready http://${place}`)
    const interrupt = io.interrupt()
    await interrupt.received
    interrupt.end()
    await program.close()
    return exit.ok
  },
})
