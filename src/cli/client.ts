import { setTimeout as sleep } from 'node:timers/promises'
import { endpointText } from '../model/address.ts'
import { defineCommand } from './command.ts'
import { exit } from './exit.ts'
import { listening } from './listening.ts'
import { Load } from './load.ts'
import { probeServer } from './probes.ts'
import { ratePattern, seededRandom, type PatternName } from './ratePattern.ts'

const beforeStartMs = 5000
const reportMs = 5000

export const client = defineCommand({
  page: {
    synopsis: [
      'torb client VIP [--port N] [--pattern random|steps] [--seed N] [--probe-port N] [--seconds N]',
    ],
    description: [
      'Sends GET /doWork to VIP at a rate that changes every five seconds, without ever waiting for an answer, each request on a connection of its own. It waits five seconds first.',
      'The pattern "random" draws the time between two requests from 0 to 998 ms (0 counts as 1) and goes on until it is ended. The pattern "steps" takes half a minute: 1.25, 10, 2, 10, 5 and 20 requests a second; it then prints how many of about 240 requests were not answered.',
      'While it runs, its figures can be read as plain text from the probe port: /requestRate and /responseRate (a second; the first as the pattern has it, the second as counted in the last whole second), /numRequests, /numResponses and /numFailed. A response is a whole one of status 2xx; a request that fails is never counted as one.',
    ],
    examples: [
      ['torb client 127.0.0.1', 'random load on the service of the tutorial'],
      ['torb client 10.0.2.15 --pattern steps', 'the same half minute each time'],
      ['torb client 10.0.2.15 --seed 7 --seconds 60', 'a minute of random load that can be repeated'],
      ['curl http://127.0.0.1:5555/responseRate', 'what it gets back'],
    ],
    exit: [
      [
        exit.ok,
        'the pattern is over, or it was ended by --seconds, SIGTERM or SIGINT; failed requests are only counted',
      ],
      [exit.usage, 'a flag or VIP is wrong'],
      [exit.unavailable, 'the probe port cannot be had'],
    ],
    see: ['torb server', 'torb demo'],
  },
  flags: {
    port: { kind: 'integer', about: 'port of the service', default: 4444, min: 1, max: 65535 },
    pattern: {
      kind: 'string',
      about: 'how the rate changes',
      choices: ['random', 'steps'],
      default: 'random',
    },
    seed: { kind: 'integer', about: 'makes the random load repeatable' },
    'probe-port': {
      kind: 'integer',
      about: 'where the figures are served; 0 takes any free port',
      default: 5555,
      max: 65535,
    },
    seconds: { kind: 'integer', about: 'ends after so many seconds of load', min: 1, max: 1_000_000 },
  },
  operands: { min: 1, max: 1, name: 'VIP' },

  async run({ flags, operands, io }) {
    const url = `http://${endpointText(operands[0] ?? '', flags.port)}/doWork`
    if (!URL.canParse(url)) {
      io.err(
        `torb client: "${operands[0]}" is not an address or a host name: give one such as 10.0.2.15, and its port with --port\n`,
      )
      return exit.usage
    }
    const random = flags.seed === undefined ? Math.random : seededRandom(flags.seed)
    const load = new Load(url, ratePattern(flags.pattern as PatternName, random))
    const probes = probeServer(load)
    const place = await listening(probes, undefined, flags['probe-port'], '--probe-port')
    io.out(`load on ${url} begins in ${beforeStartMs / 1000} s; probes at http://${place}\n`)

    const interrupt = io.interrupt()
    const report = setInterval(() => io.out(`${figures(load)}\n`), reportMs)
    try {
      await sleep(beforeStartMs, undefined, { signal: interrupt.signal }).catch(() => {})
      const end = AbortSignal.any([
        interrupt.signal,
        ...(flags.seconds === undefined ? [] : [AbortSignal.timeout(flags.seconds * 1000)]),
      ])
      if (!end.aborted) await load.run(end)
    } finally {
      clearInterval(report)
      interrupt.end()
    }
    io.out(
      `${figures(load)}\n${load.requests - load.responses} of ${load.requests} requests got no response\n`,
    )
    for (const [reason, count] of load.failures) io.out(`failed: ${count} × ${reason}\n`)
    load.close()
    probes.close()
    probes.closeAllConnections()
    return exit.ok
  },
})

function figures({ requests, responses, failed, unanswered, requestRate, responseRate }: Load): string {
  return (
    `${requests} requests (${requestRate.toFixed(2)}/s), ${responses} responses (${responseRate.toFixed(2)}/s), ` +
    `${failed} failed, ${unanswered} unanswered`
  )
}
