import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { remote, type Methods } from '../channel.ts'
import type { Guest } from './agent.ts'
import { installUml, type UmlFiles } from './install.ts'
import { insertionOrder } from './modules.ts'
import { serialChannel } from './serial.ts'

export interface UmlOptions {
  /** Absolute path of a module that exports `actor`: methods that run inside. */
  readonly actor?: string
  /** Kernel modules to load, with all that they need. */
  readonly modules?: readonly string[]
  /** The kernel loads further modules by itself when they are asked for, as on a usual machine: schedulers of ip_vs, link kinds. */
  readonly autoload?: boolean
  readonly memoryMb?: number
  /** An image file that appears inside as /dev/ubda; see `makeDisk`. */
  readonly disk?: string
  /** A directory of the host that appears inside, writable, as /run/host. Everything else of the host is read-only, but for Node's compile cache in `.lab/`. */
  readonly shared?: string
  /** Further lines of the init script, run by busybox sh before the actor starts. */
  readonly setup?: readonly string[]
  /** The kernel is killed when it lives longer. */
  readonly limitMs?: number
}

/** A running User-Mode Linux kernel. */
export interface Uml<T extends Methods> extends AsyncDisposable {
  /** The actor's methods and `run(command, args)`, called over the serial line. */
  readonly guest: T & Guest
  /** What the kernel and the programs inside have printed. */
  console(): string
  /** SIGKILL to the kernel and all its processes, as when the power is cut; resolves when it is gone. */
  kill(): Promise<void>
  /** Syncs the disks and powers off. @returns the exit code */
  shutdown(): Promise<number>
}

/**
 * Boots a User-Mode Linux kernel: the host's files are its read-only root, this Node runs inside, `ipvsadm` is on PATH.
 * Ready in about 2 s.
 *
 * @throws Error where it cannot be installed or does not come up; the console's text is in the message
 */
export async function bootUml<T extends Methods>(options: UmlOptions = {}): Promise<Uml<T>> {
  const files = installUml()
  const dir = mkdtempSync(join(tmpdir(), 'torb-uml-'))
  const bin = join(dir, 'bin')
  mkdirSync(bin)
  writeScript(join(bin, 'ipvsadm'), files, [
    `LD_LIBRARY_PATH=${quoted(files.ipvsadm.libraries)} exec ${quoted(files.ipvsadm.program)} "$@"`,
  ])
  const init = join(dir, 'init')
  writeScript(init, files, initLines(files, bin, options))
  const kernel = spawn('taskset', ['-c', processor(), files.kernel, ...kernelArguments(dir, init, options)], {
    // A group of its own: the kernel's processes end with it.
    detached: true,
    // Consoles must be pipes; 3 and 4 are the serial line, from and to the host.
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: '/dev/shm' },
  })
  const exited = once(kernel, 'exit')
  const killGroup = (): void => kill(kernel)
  process.once('exit', killGroup)
  const limit = setTimeout(killGroup, options.limitMs ?? 120_000)

  let printed = ''
  for (const stream of [kernel.stdout, kernel.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => (printed += text))
  }
  const channel = serialChannel('host', kernel.stdio[4] as Readable, kernel.stdio[3] as Writable)
  const ready = new Promise<void>((done, failed) => {
    channel.onMessage((message) => void (message === 'ready' && done()))
    channel.onClose((reason) => failed(new Error(`${reason}; its console:\n${printed}`)))
  })
  const over = (async () => {
    const [code] = (await exited) as [number | null]
    clearTimeout(limit)
    process.off('exit', killGroup)
    channel.close('the User-Mode Linux kernel has ended')
    rmSync(dir, { recursive: true, force: true })
    return code ?? 128
  })()
  const end = async (): Promise<void> => {
    killGroup()
    await over
  }
  try {
    await ready
  } catch (error) {
    await end()
    throw error
  }
  const guest = remote<T & Guest>(channel)
  return {
    guest,
    console: () => printed,
    kill: end,
    shutdown: async () => {
      // The answer may not get out any more.
      guest.run(files.busybox, ['poweroff', '-f']).catch(() => {})
      return await over
    },
    [Symbol.asyncDispose]: end,
  }
}

/**
 * One of those that this process may use. The kernel and its programs wait for each other at every system call: on several
 * processors that takes two to five times as long.
 */
function processor(): string {
  const status = readFileSync('/proc/self/status', 'latin1')
  const ranges = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '0'
  const all = ranges.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })
  return String(all[process.pid % all.length])
}

/** An empty ext4 file system in an image file. */
export function makeDisk(file: string, megabytes: number): void {
  const fd = openSync(file, 'wx', 0o600)
  ftruncateSync(fd, megabytes << 20)
  closeSync(fd)
  execFileSync('mke2fs', ['-q', '-F', '-t', 'ext4', file], {
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
}

function kill(kernel: ChildProcess): void {
  if (kernel.pid === undefined || kernel.exitCode !== null || kernel.signalCode !== null) return
  try {
    process.kill(-kernel.pid, 'SIGKILL')
  } catch {
    // It has just ended by itself.
  }
}

function kernelArguments(dir: string, init: string, options: UmlOptions): string[] {
  return [
    `mem=${options.memoryMb ?? 512}M`,
    // Never rw: the root is the host's.
    ...'rootfstype=hostfs rootflags=/ root=none ro quiet'.split(' '),
    `uml_dir=${dir}/`,
    `init=${init}`,
    ...'con=null con0=null,fd:1 ssl=null ssl0=fd:3,fd:4'.split(' '),
    ...(options.disk === undefined ? [] : [`ubd0=${resolve(options.disk)}`]),
  ]
}

function writeScript(file: string, { busybox }: UmlFiles, lines: readonly string[]): void {
  writeFileSync(file, [`#!${busybox} sh`, ...lines, ''].join('\n'), { mode: 0o755 })
}

function initLines(files: UmlFiles, bin: string, options: UmlOptions): string[] {
  const busybox = quoted(files.busybox)
  const modules = insertionOrder(
    readFileSync(join(files.modules, 'modules.dep'), 'utf8'),
    options.modules ?? [],
  )
  const agent = fileURLToPath(new URL('agent.ts', import.meta.url))
  return [
    `export PATH=${quoted(bin)}:${quoted(dirname(process.execPath))}:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/tmp TMPDIR=/run/tmp`,
    'export NODE_COMPILE_CACHE=/run/compiled',
    `bb() { ${busybox} "$@"; }`,
    'bb mount -t proc none /proc',
    'bb mount -t sysfs none /sys',
    'bb mount -t tmpfs none /run',
    'bb mkdir -p /run/tmp /run/host /run/compiled /dev/shm /dev/pts',
    `bb mount -t hostfs none /run/compiled -o ${quoted(files.compiled)}`,
    'bb mount -t tmpfs none /dev/shm',
    'bb mount -t devpts none /dev/pts',
    'bb ifconfig lo 127.0.0.1 up',
    ...(options.shared === undefined
      ? []
      : [`bb mount -t hostfs none /run/host -o ${quoted(resolve(options.shared))}`]),
    ...modules.map(
      (file) => `bb insmod ${quoted(join(files.modules, file))} || echo "insmod ${file} failed"`,
    ),
    ...(options.autoload === true ? autoloadLines(files) : []),
    ...(options.setup ?? []),
    `${quoted(process.execPath)} ${[agent, ...(options.actor === undefined ? [] : [options.actor])].map(quoted).join(' ')}`,
    // Only where the agent could not start or has failed.
    'echo $? > /proc/exitcode',
    'bb poweroff -f',
  ]
}

/** busybox's modprobe only knows /lib/modules, which is the host's; so it runs in a root of its own. */
function autoloadLines({ busybox, modules }: UmlFiles): string[] {
  const root = '/run/modprobe'
  const mounts = [
    ['bin', dirname(busybox)],
    ['lib/modules', dirname(modules)],
    ['proc', '/proc'],
  ] as const
  return [
    ...mounts.map(
      ([to, from]) => `bb mkdir -p ${root}/${to} && bb mount --bind ${quoted(from)} ${root}/${to}`,
    ),
    `printf '#!%s sh\\nexec %s chroot ${root} /bin/busybox modprobe "$@"\\n' ${quoted(busybox)} ${quoted(busybox)} >${root}/modprobe`,
    `bb chmod +x ${root}/modprobe`,
    `echo ${root}/modprobe >/proc/sys/kernel/modprobe`,
  ]
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
