import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { Children } from './children.ts'
import type { Io } from './command.ts'
import type { Verdict } from './demoStory.ts'
import { renderDemo } from './demoView.ts'
import { failed } from './exit.ts'
import { readRow } from './inventory.ts'
import { openRest, type Rest } from './rest.ts'
import { Screen } from './screen.ts'

/** Lays out the network: a part of the lab, which is beside src/ in a checkout. */
const stage = fileURLToPath(new URL('../../lab/ovn/stage.ts', import.meta.url))

const port = 8000
const lookMs = 200
const visitsAtOnce = 4
const servers = { vm1: '172.16.255.130', vm2: '172.16.255.131' }

/** One of the article's runs: a service, somebody who asks it, and what is to be learnt. */
interface Act {
  readonly title: string
  readonly service: string
  readonly host: string
  readonly attach: Readonly<Record<string, readonly string[]>>
  readonly ovn?: Readonly<Record<string, string>>
  readonly from: string
  readonly lesson: string
  /** Addresses of clients in the servers' logs; none: it hangs. */
  readonly logged: readonly string[]
}

const acts: readonly Act[] = [
  {
    title: 'run 1',
    service: 'run-1',
    host: '10.127.0.254',
    attach: { routers: ['edge1'] },
    from: 'lan',
    lesson:
      'the address is on the gateway router edge1; a host outside asks, and the servers see its address',
    logged: ['10.127.0.130'],
  },
  {
    title: 'run 1 from inside',
    service: 'run-1-inside',
    host: '10.127.0.254',
    attach: { routers: ['edge1'] },
    ovn: { force_snat: '10.127.0.129' },
    from: 'vm3',
    lesson: 'vm3 asks; force_snat makes answers come back by edge1, whose address the servers see',
    logged: ['10.127.0.129'],
  },
  {
    title: 'run 2',
    service: 'run-2',
    host: '172.16.255.62',
    attach: { switches: ['inside'] },
    from: 'vm3',
    lesson: "the address is on the client's switch; vm3's own hypervisor balances, and the servers see vm3",
    logged: ['172.16.255.194'],
  },
  {
    title: 'run 3',
    service: 'run-3',
    host: '172.16.255.62',
    attach: { switches: ['dmz'] },
    from: 'vm3',
    lesson:
      "the address is on the servers' switch only; what vm3 sends passes no load balancer, and it hangs",
    logged: [],
  },
  {
    title: 'run 3 from a server',
    service: 'run-3-beside',
    host: '172.16.255.62',
    attach: { switches: ['dmz'] },
    from: 'vm1',
    lesson:
      'vm1 asks, and hung in 2016; today it is served, by itself too, which then sees the virtual address',
    logged: ['172.16.255.130', '172.16.255.62'],
  },
]

/** What became of some connections. */
interface Visit {
  readonly answers: readonly { readonly server: string; readonly client: string }[]
  readonly failures: readonly string[]
}

/** @throws CommandError that says what is missing and how to get it */
function requireStage(): void {
  if (!existsSync(stage)) {
    throw failed(
      "--ovn needs the lab of Torb's checkout, which packages leave out: run bin/torb of a checkout",
    )
  }
  const { stdout } = spawnSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', stage, '--missing'],
    {
      encoding: 'utf8',
    },
  )
  if (stdout !== '') throw failed(stdout)
}

/** Plays the runs of the article on OVN's load balancer, one after the other. @returns nothing where the signal cut it short */
export async function playOvn(
  io: Io,
  children: Children,
  { directory, seconds, signal }: { directory: string; seconds: number; signal: AbortSignal },
): Promise<Verdict[]> {
  requireStage()
  io.out(
    'a virtual network is laid out: two routers, two web servers, three clients, OVN on one hypervisor\n',
  )
  const { ready } = await children.start([], () => {}, stage)
  const [, url = '', northbound = '', southbound = ''] = / ready (\S+) (\S+) (\S+)/.exec(ready) ?? []
  const daemon = await children.start([
    'serve',
    '-l',
    '127.0.0.1:0',
    '--data',
    directory,
    '--plane',
    'ovn',
    '--ovn-nb',
    northbound,
    '--ovn-sb',
    southbound,
  ])
  const rest = openRest(/http:\/\/\S+/.exec(daemon.ready)?.[0] ?? '', null)
  const theatre = new Theatre(io, rest, url)
  try {
    const verdicts: Verdict[] = []
    for (const act of acts) {
      const verdict = await theatre.play(act, (seconds * 1000) / acts.length, signal)
      if (verdict === null) return []
      verdicts.push(verdict)
    }
    return verdicts
  } catch (error) {
    // The network goes with Ctrl-C too, and what was asked of it is not answered any more.
    if (signal.aborted) return []
    throw error
  } finally {
    theatre.close()
  }
}

class Theatre {
  readonly #io: Io
  readonly #rest: Rest
  /** Where hosts of the network can be made to ask. */
  readonly #url: string
  readonly #screen: Screen | null
  readonly #story: string[] = []
  readonly #startedAt = performance.now()

  constructor(io: Io, rest: Rest, url: string) {
    this.#io = io
    this.#rest = rest
    this.#url = url
    this.#screen = io.tty ? new Screen((text) => io.out(text)) : null
  }

  /** One act. @returns null where the signal cut it short */
  async play(act: Act, lastsMs: number, signal: AbortSignal): Promise<Verdict | null> {
    const { title, service, from, lesson, logged } = act
    const advice = await this.#serve(act)
    this.#tell(`${title}: ${lesson}`)
    for (const line of advice) this.#tell(`  Torb warns: ${line}`)
    const begin = performance.now()
    const answers: Visit['answers'][number][] = []
    const failures: string[] = []
    do {
      const visit = await this.#visit(act, signal)
      answers.push(...visit.answers)
      failures.push(...visit.failures)
      await this.#show(act, { answers, failures }, begin, begin + lastsMs)
      await sleep(lookMs, undefined, { signal }).catch(() => {})
    } while (performance.now() < begin + lastsMs && !signal.aborted)
    if (signal.aborted) return null
    await this.#rest.request('DELETE', `/service/${service}`)
    const clients = [...new Set(answers.map(({ client }) => client))].sort()
    const counts = Object.keys(servers).map((name) => `${name} ${countOf({ answers, failures }, name)}`)
    const found = [
      ...(answers.length === 0
        ? []
        : [`${counts.join(', ')} answers; the servers log ${clients.join(' and ')}`]),
      ...(failures.length === 0 ? [] : [`${failures.length} failed: ${[...new Set(failures)].join(', ')}`]),
    ].join('; ')
    this.#tell(`  ${from} asks ${act.host}:${port}: ${found}`)
    const ok =
      isDeepStrictEqual(clients, logged) &&
      (logged.length === 0 ||
        (failures.length === 0 &&
          Object.keys(servers).every((name) => countOf({ answers, failures }, name) > 0)))
    return { ok, criterion: title, found }
  }

  close(): void {
    this.#screen?.close()
    if (this.#screen !== null) for (const line of this.#story) this.#io.out(`${line}\n`)
  }

  /** By REST, and waits until each hypervisor has it. @returns what Torb says to it */
  async #serve({ service, host, attach, ovn = {} }: Act): Promise<readonly string[]> {
    await this.#rest.request('PUT', `/service/${service}`, {
      host,
      port,
      protocol: 'tcp',
      method: 'rr',
      attach,
      ovn,
    })
    for (const [name, address] of Object.entries(servers))
      await this.#rest.request('PUT', `/service/${service}/${name}`, {
        host: address,
        port,
        method: 'nat',
        weight: 100,
      })
    for (;;) {
      const { trouble, advice } = await readRow(this.#rest, service)
      if (trouble === '') return advice
      await sleep(lookMs)
    }
  }

  async #visit({ from, host }: Act, signal: AbortSignal): Promise<Visit> {
    const query = new URLSearchParams({ from, vip: host, count: String(visitsAtOnce) })
    const answer = await fetch(`${this.#url}/visit?${query.toString()}`, { signal })
    if (!answer.ok) throw failed(`the network of the demonstration: ${await answer.text()}`)
    return (await answer.json()) as Visit
  }

  async #show({ service }: Act, visit: Visit, begin: number, end: number): Promise<void> {
    if (this.#screen === null) return
    const requests = visit.answers.length + visit.failures.length
    const rate = (requests * 1000) / (performance.now() - begin)
    const state = {
      secondsLeft: Math.max(0, Math.ceil((end - performance.now()) / 1000)),
      requestRate: rate,
      responseRate: (rate * visit.answers.length) / requests,
      requests,
      failed: visit.failures.length,
      service: await readRow(this.#rest, service),
      handled: new Map(Object.keys(servers).map((name) => [name, countOf(visit, name)])),
      story: this.#story,
    }
    const columns = this.#io.columns()
    this.#screen.draw(renderDemo(state, columns, this.#io.colour), columns, this.#io.rows())
  }

  #tell(what: string): void {
    const line = `${((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(6)} s  ${what}`
    this.#story.push(line)
    if (this.#screen === null) this.#io.out(`${line}\n`)
  }
}

const countOf = ({ answers }: Visit, name: string): number =>
  answers.filter(({ server }) => server === name).length
