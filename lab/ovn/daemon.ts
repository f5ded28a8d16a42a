import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Namespace } from '../namespaces.ts'

/** How long a daemon may take until its control socket answers. */
const startLimitMs = 20_000

export interface DaemonSpec {
  readonly namespace: Namespace
  /** Program and arguments, without those that all daemons of OVS and OVN share. */
  readonly command: readonly string[]
  /** Of its sockets, its log and what it keeps: of its own, or shared with other programs. It is made. */
  readonly directory: string
  /** A socket that it listens on when it is ready, beside its control socket. */
  readonly socket?: string
}

/** A daemon of OVS or OVN that can be ended as by hand, as by a power cut, or held, and started again. */
export class Daemon {
  readonly name: string
  readonly #spec: DaemonSpec
  #process: ChildProcess | null = null

  constructor(name: string, spec: DaemonSpec) {
    this.name = name
    this.#spec = spec
  }

  /** Its control socket while it runs: `-t` of ovs-appctl and ovn-appctl. */
  get unixctl(): string {
    return `${this.#file}.${this.pid}.ctl`
  }

  /** null while it does not run. */
  get pid(): number | null {
    return this.#process?.pid ?? null
  }

  /** Starts it and waits until it answers. @throws Error with the end of its log where it ends before */
  async start(): Promise<void> {
    const { namespace, command, directory, socket } = this.#spec
    const [program = '', ...rest] = command
    mkdirSync(directory, { recursive: true })
    const shared = [
      '-vconsole:off',
      '-vsyslog:off',
      `--log-file=${this.#file}.log`,
      '--pidfile',
      '--no-chdir',
    ]
    // Ended with its maker, also where that is killed and can end nothing.
    const mortal = ['setpriv', '--pdeathsig', 'KILL', program, ...rest, ...shared]
    const env = {
      ...process.env,
      OVS_RUNDIR: directory,
      OVS_DBDIR: directory,
      OVS_LOGDIR: directory,
      OVN_RUNDIR: directory,
      OVN_DBDIR: directory,
      OVN_LOGDIR: directory,
    }
    const child = namespace.spawn(mortal, { env, stdio: ['ignore', 'ignore', 'inherit'] })
    this.#process = child
    child.once('exit', () => {
      if (this.#process === child) this.#process = null
    })
    const deadline = performance.now() + startLimitMs
    for (const path of socket === undefined ? [this.unixctl] : [this.unixctl, socket]) {
      while (!(await listens(path))) {
        if (this.#process !== child || performance.now() > deadline) {
          throw new Error(`${this.name} did not start; its log ends with\n${this.log(20)}`)
        }
        await sleep(5)
      }
    }
  }

  /** Ends it by SIGTERM: it leaves its sockets in order. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  /** Ends it as a power cut would. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** Kills and starts it. */
  async restart(): Promise<void> {
    await this.kill()
    await this.start()
  }

  /** Holds it: its connections stay open and nothing answers. */
  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  /** The last lines of its log. */
  log(lines: number): string {
    const file = `${this.#file}.log`
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-lines).join('\n') : ''
  }

  /** What the names of its log, its control socket and its pid file begin with. */
  get #file(): string {
    return `${this.#spec.directory}/${this.#spec.command[0]}`
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}

/** True where a unix socket accepts a connection. */
async function listens(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
