import { execFile, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Network, type Layout, type Namespace } from '../../lab/namespaces.ts'
import type { Ran } from '../../lab/uml/agent.ts'
import type { Member } from './ipvsMember.actor.ts'

const torb = fileURLToPath(new URL('../../bin/torb', import.meta.url))
const memberModule = new URL('ipvsMember.actor.ts', import.meta.url)

interface Running {
  readonly child: ChildProcess
  printed: string
}

let network: Network | null = null
const members = new Map<string, Promise<Member>>()
const running = new Map<string, Running>()

/** The hub is the role `director`; the others have the names of the layout. */
function namespaceOf(role: string): Namespace {
  if (network === null) throw new Error('no network was built')
  return role === 'director' ? network.hub : network.member(role)
}

function memberIn(role: string): Promise<Member> {
  const there = members.get(role) ?? namespaceOf(role).actor<Member>(memberModule)
  members.set(role, there)
  return there
}

/** Inside User-Mode Linux: one network, and programs and people in its namespaces. */
export const actor = {
  async build(layout: Layout): Promise<void> {
    network = await Network.create(layout)
  },

  /** Runs lines of sh in a namespace. */
  sh: (role: string, lines: string): Promise<Ran> =>
    new Promise((resolve) => {
      const args = ['netns', 'exec', namespaceOf(role).name, 'sh', '-c', lines]
      execFile('ip', args, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 128
        resolve({ status, stdout, stderr })
      })
    }),

  /** Starts `bin/torb` in a namespace and waits for the line that says it is ready. */
  async torb(name: string, role: string, args: readonly string[]): Promise<void> {
    const child = namespaceOf(role).spawn([torb, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const started: Running = { child, printed: '' }
    running.set(name, started)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        started.printed += text
        if (/^torb (server )?ready /m.test(started.printed)) resolve()
      })
    }
    child.once('exit', (code) => reject(new Error(`torb ended with ${code}: ${started.printed}`)))
    await promise
  },

  /** What the program of this name has printed so far. */
  printed: async (name: string): Promise<string> => running.get(name)?.printed ?? '',

  async end(name: string, signal: NodeJS.Signals): Promise<void> {
    const child = running.get(name)?.child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  },

  /** Calls a function of the member that stands in a namespace. */
  async call(role: string, method: keyof Member, args: readonly unknown[]): Promise<unknown> {
    const member = (await memberIn(role)) as unknown as Record<
      string,
      (...args: unknown[]) => Promise<unknown>
    >
    return await member[method]?.(...args)
  },
}
