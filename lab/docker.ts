import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { labCache, unpackedPackages } from './debianPackages.ts'
import { namespacesMissing } from './namespaces.ts'

const exec = promisify(execFile)

/** Debian packages that are unpacked beside each other; none is installed on the host. */
const packages = ['docker.io', 'containerd', 'runc', 'libdevmapper1.02.1', 'libseccomp2']

const home = join(labCache, 'docker')
const path = `${home}/usr/bin:${home}/usr/sbin:${process.env['PATH']}`

/** How long the engine may take to answer. */
const startLimitMs = 30_000

/**
 * Downloads and unpacks a Docker engine (66 MB) into `.lab/` of the checkout, once.
 *
 * @throws Error with the cure where it cannot be downloaded
 */
export function installDocker(): void {
  unpackedPackages('the Docker engine', 'docker', packages)
}

/** Why no engine can be started here, or null where one can. */
export function dockerMissing(): string | null {
  if (existsSync('/sys/fs/cgroup/cgroup.controllers') || existsSync('/sys/fs/cgroup/memory')) {
    return namespacesMissing()
  }
  return 'the Docker engine needs control groups, and none are mounted at /sys/fs/cgroup'
}

/**
 * A Docker engine of our own, whose host network is a namespace. It lives in a process and a mount namespace, so that all of
 * its processes and mounts end with it.
 */
export class Docker implements AsyncDisposable {
  readonly #engine: ChildProcess
  readonly #directory: string
  readonly #cgroup: string

  private constructor(engine: ChildProcess, directory: string, cgroup: string) {
    this.#engine = engine
    this.#directory = directory
    this.#cgroup = cgroup
  }

  /**
   * @param namespace name of the network namespace that is its host network; it gets the bridge docker0, 172.17.0.1/16
   * @throws Error with the engine's log where it does not come up
   */
  static async start(namespace: string): Promise<Docker> {
    installDocker()
    const directory = mkdtempSync(join(tmpdir(), 'torb-docker-'))
    const cgroup = `torb-docker-${process.pid}`
    const libraries = globSync(join(home, '{,usr/}lib/*-linux-gnu'))
    const log: string[] = []
    const engine = spawn(
      'nsenter',
      [
        `--net=/run/netns/${namespace}`,
        ...'unshare --mount --propagation private --pid --fork --kill-child --mount-proc dockerd'.split(' '),
        ...`--data-root ${directory}/data --exec-root ${directory}/exec --pidfile ${directory}/pid`.split(
          ' ',
        ),
        ...`--host unix://${directory}/socket --cgroup-parent /${cgroup}`.split(' '),
        ...'--iptables=false --ip6tables=false --exec-opt native.cgroupdriver=cgroupfs'.split(' '),
        ...runtime(directory),
      ],
      {
        env: { ...process.env, PATH: path, LD_LIBRARY_PATH: libraries.join(':') },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    for (const stream of [engine.stdout, engine.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        log.push(text)
        if (log.length > 200) log.shift()
      })
    }
    const docker = new Docker(engine, directory, cgroup)
    try {
      await docker.#ready(log)
      return docker
    } catch (error) {
      await docker[Symbol.asyncDispose]()
      throw error
    }
  }

  /** `docker ARGS`. @returns its standard output @throws Error with its standard error */
  async run(...args: readonly string[]): Promise<string> {
    const { stdout } = await exec('docker', args, {
      env: {
        PATH: path,
        HOME: this.#directory,
        DOCKER_HOST: `unix://${this.#directory}/socket`,
        DOCKER_BUILDKIT: '1',
      },
      maxBuffer: 64 << 20,
    })
    return stdout.trim()
  }

  /** Ends the engine and every container, and removes images, files and control groups. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#engine.exitCode === null && this.#engine.signalCode === null) {
      // To unshare, whose end is that of its process namespace.
      this.#engine.kill('SIGKILL')
      await once(this.#engine, 'exit')
    }
    // The last processes of the namespace are still going.
    for (let tries = 0; tries < 50 && !this.#removeCgroups(); tries++) await sleep(100)
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 10 })
  }

  async #ready(log: readonly string[]): Promise<void> {
    const until = Date.now() + startLimitMs
    for (;;) {
      try {
        await this.run('version')
        return
      } catch (error) {
        const ended = this.#engine.exitCode ?? this.#engine.signalCode
        if (ended === null && Date.now() < until) await sleep(100)
        else throw new Error(`the Docker engine does not answer; its log:\n${log.join('')}`, { cause: error })
      }
    }
  }

  /** @returns whether none is left */
  #removeCgroups(): boolean {
    const groups = globSync(`/sys/fs/cgroup/{${this.#cgroup},*/${this.#cgroup}}{,/**/}`).toSorted(
      (a, b) => b.length - a.length,
    )
    return groups
      .map((group) => {
        try {
          rmdirSync(group)
          return true
        } catch {
          return !existsSync(group)
        }
      })
      .every(Boolean)
  }
}

/** Capabilities in the order of their bits (linux/capability.h). */
const capabilities =
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
    .split(' ')
    .map((name) => `CAP_${name}`)

/**
 * Engine options for machines that do not have every capability to give. This engine's `--privileged` wants all of them and
 * fails there; later ones give what there is, and so does this runtime.
 */
function runtime(directory: string): string[] {
  const bounding = /^CapBnd:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  const missing = capabilities.filter((_, bit) => ((BigInt(`0x${bounding}`) >> BigInt(bit)) & 1n) === 0n)
  if (missing.length === 0) return []
  const edits = missing.map((name) => `s/"${name}",//g;s/,"${name}"//g`).join(';')
  const program = join(directory, 'runc')
  writeFileSync(
    program,
    `#!/bin/sh
previous=
for argument; do
  case "$previous" in
    --bundle) sed -i '${edits}' "$argument/config.json" ;;
    --process) sed -i '${edits}' "$argument" ;;
  esac
  previous=$argument
done
exec runc "$@"
`,
  )
  chmodSync(program, 0o755)
  return ['--add-runtime', `here=${program}`, '--default-runtime', 'here']
}

if (import.meta.main) {
  try {
    installDocker()
    console.log(`lab: the Docker engine is ${home}`)
  } catch (error) {
    console.error(`lab: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
