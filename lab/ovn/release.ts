import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempDisposableSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { installReleaseRoot } from '../debianRoot.ts'

const run = promisify(execFile)
const checkout = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '')

/** What the lab starts, and the libraries of Node. */
const packages =
  'ovn-central ovn-host openvswitch-switch iproute2 ethtool procps libatomic1 libstdc++6'.split(' ')

/**
 * The root is that of another release, with the checkout at its place; its network namespaces have names of their own. A root by
 * pivot_root(8): "ip netns" wants `/` to be a mount. Arguments: the checkout, then the command.
 */
const enter = [
  'mount --make-rprivate /',
  'mount --bind "$PWD" "$PWD" && cd "$PWD"',
  'for kept in /proc /sys /dev "$0"; do mkdir -p ".$kept"; mount --rbind "$kept" ".$kept"; done',
  'mount -t tmpfs run run && mkdir -p before && pivot_root . before',
  'cd "$0" && exec "$@"',
].join('\n')

/** A Debian of another release with its OVN, in a directory; made anew, the checkout within. */
export class OvnRelease implements Disposable {
  readonly #directory: ReturnType<typeof mkdtempDisposableSync>
  readonly #root: string

  /** @throws Error with the cure where nothing can be downloaded */
  constructor(release: string) {
    const tar = installReleaseRoot(release, packages)
    this.#directory = mkdtempDisposableSync(join(tmpdir(), 'torb-ovn-'))
    this.#root = join(this.#directory.path, 'root')
    mkdirSync(this.#root)
    execFileSync('tar', ['-xf', tar, '-C', this.#root])
  }

  /** Runs a program of the release, or one of the checkout's. @returns its output @throws Error with it */
  async run(...command: readonly string[]): Promise<string> {
    const path = `${checkout}/node_modules/.bin:/usr/sbin:/usr/bin:/sbin:/bin`
    const { stdout } = await run('unshare', ['--mount', 'sh', '-ec', enter, checkout, ...command], {
      cwd: this.#root,
      env: { PATH: path, LC_ALL: 'C.UTF-8' },
      maxBuffer: 64 * 2 ** 20,
    })
    return stdout
  }

  [Symbol.dispose](): void {
    this.#directory.remove()
  }
}
