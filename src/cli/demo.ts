import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import { Children, type Child } from './children.ts'
import { defineCommand, type Io } from './command.ts'
import { judge, type Look, type Verdict } from './demoStory.ts'
import { playOvn } from './demoOvn.ts'
import { renderDemo } from './demoView.ts'
import { exit, failed } from './exit.ts'
import { readRow, type ServiceRow } from './inventory.ts'
import { listening } from './listening.ts'
import { Load, type Answer } from './load.ts'
import { seededRandom, type Phase } from './ratePattern.ts'
import { openRest, type Rest } from './rest.ts'
import { Screen } from './screen.ts'
import { freePort } from '../planes/freePort.ts'

const pulseMs = 1000
const lookMs = 200
const serverNames = ['server1', 'server2', 'server3'] as const
const victim = 'server2'
/** One round without --seconds. */
const roundSeconds = 30

export const demo = defineCommand({
  page: {
    synopsis: ['torb demo [--seconds N] [--seed N]', 'torb demo --ovn [--seconds N]'],
    description: [
      'The whole tutorial in one terminal, without root: three slow web servers on addresses of the loopback interface, a balancer with a temporary data directory on free ports, one service with the scheduler rr set up over the REST API, and a client whose load changes every two seconds. A live table shows who answers what.',
      'On the way server2 is stopped: its pulse finds it Down and the others take its share. Then it is started again and regains its weight with each good check.',
      "With --ovn: the network of an article of 2016 on OVN's load balancer, in namespaces with a real OVN, which needs root and the lab of a checkout (npm run lab). Torb with the plane ovn makes the services of its three runs, clients ask, and each run is explained in a line. It ends after half a minute.",
      'It ends with --seconds or Ctrl-C and says whether balance and health behaved. In the end nothing of it is left: processes are ended by their id, the directory is removed. Where standard output is not a terminal it prints plain lines.',
    ],
    examples: [
      ['torb demo', 'rounds of half a minute, until Ctrl-C'],
      ['torb demo --seconds 20', 'one round of twenty seconds, as a test'],
      ['sudo torb demo --ovn', 'a virtual network, from where its load balancer works and from where not'],
    ],
    exit: [
      [
        exit.ok,
        'each run of --ovn went as its line says; without it: all servers had the same share; the stopped one was Down within its interval + 2 s, and nothing failed but what was on its way to it; it came back as fast, regained weight and answered again',
      ],
      [
        exit.failed,
        'one of these did not hold, or it was ended before a round was over; the report says which',
      ],
      [exit.usage, 'a flag is wrong'],
    ],
    environment: [['TMPDIR', 'where the temporary directory is made']],
    see: ['torb serve', 'torb server', 'torb client'],
  },
  flags: {
    seconds: { kind: 'integer', about: 'plays one round of so many seconds of load', min: 10, max: 3600 },
    ovn: {
      kind: 'boolean',
      about: 'a virtual network instead: the three runs of an article on OVN',
      default: false,
    },
    seed: { kind: 'integer', about: 'makes the load repeatable' },
  },
  operands: { min: 0, max: 0, name: '' },

  async run({ flags, io }) {
    const directory = await mkdtemp(join(tmpdir(), 'torb-demo-')).catch((error: Error) => {
      throw failed(`no temporary directory: ${error.message}; set TMPDIR to one that can be written`, error)
    })
    const interrupt = io.interrupt()
    const children = new Children()
    const stage = new Stage(io, children)
    try {
      const { signal } = interrupt
      const seconds = flags.seconds ?? roundSeconds
      const verdicts: Verdict[] = []
      try {
        if (flags.ovn) verdicts.push(...(await playOvn(io, children, { directory, seconds, signal })))
        else {
          await stage.setUp(directory, flags.seed === undefined ? Math.random : seededRandom(flags.seed))
          do verdicts.push(...(await stage.play(seconds, flags.seconds !== undefined, signal)))
          while (flags.seconds === undefined && !signal.aborted)
        }
      } catch (error) {
        // Ctrl-C goes to all processes of the terminal, and the loss of the servers may be heard of before it.
        await setImmediate()
        if (!signal.aborted) throw error
      }
      stage.close()
      for (const { ok, criterion, found } of verdicts)
        io.out(`${ok ? 'ok    ' : 'FAILED'}  ${criterion}: ${found}\n`)
      if (verdicts.length === 0) io.out('ended before a round was over: nothing to judge\n')
      return verdicts.length > 0 && verdicts.every(({ ok }) => ok) ? exit.ok : exit.failed
    } finally {
      stage.close()
      await children.endAll()
      await rm(directory, { recursive: true, force: true })
      interrupt.end()
    }
  },
})

/** Servers, balancer, load and the table that shows them. */
class Stage {
  readonly #io: Io
  readonly #children: Children
  readonly #handled = new Map<string, number>()
  readonly #places = new Map<string, { host: string; port: number }>()
  readonly #servers = new Map<string, Child>()
  readonly #failures: { sentAt: number; reason: string }[] = []
  readonly #story: string[] = []
  readonly #loadEnd = new AbortController()
  readonly #startedAt = performance.now()
  #screen: Screen | null = null
  #rest: Rest | null = null
  #load: Load | null = null
  #plainAt = 0

  constructor(io: Io, children: Children) {
    this.#io = io
    this.#children = children
  }

  async setUp(directory: string, random: () => number): Promise<void> {
    for (const [index, name] of serverNames.entries())
      await this.#startServer(name, await addressFor(index), 0)
    const daemon = await this.#children.start([
      'serve',
      '-l',
      '127.0.0.1:0',
      '--data',
      directory,
      '--plane',
      'userspace',
    ])
    const rest = openRest(/http:\/\/\S+/.exec(daemon.ready)?.[0] ?? '', null)
    this.#rest = rest
    const port = await freePort('127.0.0.1')
    await rest.request('PUT', '/service/0', {
      host: '127.0.0.1',
      port,
      protocol: 'tcp',
      method: 'rr',
      persistent: true,
    })
    const pulse = { type: 'tcp', interval: `${pulseMs / 1000}s`, fast_interval: `${pulseMs / 1000}s` }
    for (const [name, place] of this.#places) {
      await rest.request('PUT', `/service/0/${name}`, { ...place, method: 'nat', weight: 100, pulse })
    }
    if (this.#io.tty) this.#screen = new Screen((text) => this.#io.out(text))
    this.#tell(`one balancer on 127.0.0.1:${port}, three servers behind it, rr`)
    this.#load = new Load(`http://127.0.0.1:${port}/doWork`, changingLoad(random), (answer) =>
      this.#onAnswer(answer),
    )
    const allUp = (look: Look): boolean =>
      look.backends.every(({ up, effectiveWeight }) => up && effectiveWeight > 0)
    while (!allUp(await this.#look(null))) await sleep(lookMs)
    void this.#load.run(this.#loadEnd.signal)
  }

  /** One round. @returns nothing where the signal cut it short */
  async play(seconds: number, last: boolean, signal: AbortSignal): Promise<Verdict[]> {
    const startedAt = performance.now()
    const endsAt = startedAt + seconds * 1000
    const looks: Look[] = []
    const firstFailure = this.#failures.length
    const watchUntil = async (share: number): Promise<number> => {
      const moment = startedAt + seconds * 1000 * share
      while (performance.now() < moment && !signal.aborted) {
        looks.push(await this.#look(last ? endsAt : null))
        await sleep(Math.max(1, Math.min(lookMs, moment - performance.now())), undefined, { signal }).catch(
          () => {},
        )
      }
      return performance.now()
    }
    await watchUntil(0.35)
    if (signal.aborted) return []
    const stoppedAt = performance.now()
    this.#tell(`${victim} is stopped`)
    await this.#servers.get(victim)?.end('SIGKILL')
    await watchUntil(0.65)
    if (signal.aborted) return []
    const place = this.#places.get(victim) ?? { host: '', port: 0 }
    await this.#startServer(victim, place.host, place.port)
    const returnedAt = performance.now()
    this.#tell(`${victim} is started again`)
    const endedAt = await watchUntil(1)
    if (signal.aborted) return []
    const failures = this.#failures.slice(firstFailure)
    return judge({ startedAt, stoppedAt, returnedAt, endedAt, victim, pulseMs, looks, failures })
  }

  close(): void {
    this.#loadEnd.abort()
    this.#load?.close()
    this.#screen?.close()
    if (this.#screen !== null) for (const line of this.#story) this.#io.out(`${line}\n`)
    this.#screen = null
  }

  async #startServer(name: string, host: string, port: number): Promise<void> {
    const args = ['server', '--host', host, '--port', String(port), '--work', '20ms']
    const child = await this.#children.start(args, (line) => {
      if (line.includes(': answered')) this.#handled.set(name, (this.#handled.get(name) ?? 0) + 1)
    })
    this.#servers.set(name, child)
    this.#places.set(name, { host, port: Number(/:(\d+)$/.exec(child.ready)?.[1]) })
  }

  #known = new Map<string, string>()

  async #look(endsAt: number | null): Promise<Look> {
    if (this.#rest === null) throw new TypeError('the demonstration is not set up')
    const service = await readRow(this.#rest, '0')
    for (const { id, status, reason } of service.backends) {
      if (this.#known.get(id) !== status && this.#known.has(id)) {
        this.#tell(
          reason.startsWith(status)
            ? `${id} is ${reason}`
            : `${id} is ${status}${reason === '' ? '' : `, ${reason}`}`,
        )
      }
      this.#known.set(id, status)
    }
    this.#show(service, endsAt)
    return {
      at: performance.now(),
      backends: service.backends.map(({ id, status, effectiveWeight }) => ({
        id,
        up: status === 'Up',
        effectiveWeight,
        handled: this.#handled.get(id) ?? 0,
      })),
    }
  }

  #show(service: ServiceRow, endsAt: number | null): void {
    const { requestRate = 0, responseRate = 0, requests = 0, failed = 0 } = this.#load ?? {}
    if (this.#screen !== null) {
      const secondsLeft = endsAt === null ? null : Math.max(0, Math.ceil((endsAt - performance.now()) / 1000))
      const state = {
        secondsLeft,
        requestRate,
        responseRate,
        requests,
        failed,
        service,
        handled: this.#handled,
        story: this.#story,
      }
      const columns = this.#io.columns()
      this.#screen.draw(renderDemo(state, columns, this.#io.colour), columns, this.#io.rows())
      return
    }
    if (performance.now() < this.#plainAt) return
    this.#plainAt = performance.now() + 2000
    const shares = service.backends.map(
      ({ id, status, effectiveWeight }) =>
        `${id} ${status} weight ${effectiveWeight} answered ${this.#handled.get(id) ?? 0}`,
    )
    this.#io.out(
      `${[`${requests} requests at ${requestRate.toFixed(1)}/s`, `${failed} failed`, ...shares].join(' | ')}\n`,
    )
  }

  #onAnswer({ ok, sentAt, reason }: Answer): void {
    if (!ok) this.#failures.push({ sentAt, reason })
  }

  #tell(what: string): void {
    const line = `${((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(6)} s  ${what}`
    this.#story.push(line)
    if (this.#screen === null) this.#io.out(`${line}\n`)
  }
}

/** 10 to 40 requests a second, drawn anew every two seconds: the three servers could answer 150. */
function* changingLoad(random: () => number): Generator<Phase> {
  for (;;) yield { everyMs: 25 + Math.floor(random() * 76), lastsMs: 2000 }
}

/** An address of its own where the loopback interface has all of 127.0.0.0/8 (Linux), else 127.0.0.1. */
async function addressFor(index: number): Promise<string> {
  const own = `127.0.0.${index + 2}`
  const trial = createServer()
  try {
    await listening(trial, own, 0)
    return own
  } catch {
    return '127.0.0.1'
  } finally {
    trial.close()
  }
}

/** A port nobody listens on now. */
