import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Debian packages that are unpacked, each list into a directory of the cache of its own; none is installed on the host.
 * A new list completes caches that are there already; a list that changes needs another name.
 */
const bundles = {
  uml: ['user-mode-linux', 'busybox-static'],
  ipvsadm: ['ipvsadm', 'libpopt0', 'libnl-3-200', 'libnl-genl-3-200'],
}

/** The cache in the checkout; git ignores it. */
const defaultCache = fileURLToPath(new URL('../../.lab/', import.meta.url))

export interface UmlFiles {
  readonly kernel: string
  readonly busybox: string
  /** The directory that holds modules.dep. */
  readonly modules: string
  /** What Node compiled inside: a start there takes 0.6 s with it, 2 s without. */
  readonly compiled: string
  /** The program itself, which finds its libraries only with LD_LIBRARY_PATH=`libraries`. */
  readonly ipvsadm: { readonly program: string; readonly libraries: string }
}

function filesIn(cache: string): UmlFiles {
  const uml = join(cache, 'uml')
  const versions = join(uml, 'usr/lib/uml/modules')
  const [version = ''] = readdirSync(versions)
  return {
    kernel: join(uml, 'usr/bin/linux.uml'),
    busybox: join(uml, 'bin/busybox'),
    modules: join(versions, version),
    compiled: join(cache, 'compiled'),
    ipvsadm: {
      program: join(cache, 'ipvsadm/sbin/ipvsadm'),
      // libpopt0 and libnl do not agree on /lib or /usr/lib.
      libraries: ['lib', 'usr/lib'].map((lib) => join(cache, 'ipvsadm', lib, 'x86_64-linux-gnu')).join(':'),
    },
  }
}

/** Why User-Mode Linux cannot be had here, or null where it can; downloads it at need. */
export function umlMissing(): string | null {
  try {
    installUml()
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/**
 * Downloads and unpacks what of User-Mode Linux (42 MB) and ipvsadm is not yet in `.lab/` of the checkout.
 *
 * @throws Error with the cure where this machine is no amd64 Debian or nothing can be downloaded
 */
export function installUml(cache = defaultCache): UmlFiles {
  for (const [name, packages] of Object.entries(bundles)) {
    if (!existsSync(join(cache, name))) unpack(packages, cache, name)
  }
  mkdirSync(join(cache, 'compiled'), { recursive: true })
  return filesIn(cache)
}

function unpack(packages: readonly string[], cache: string, name: string): void {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `User-Mode Linux exists for Linux on x86-64, and this is ${process.platform} on ${process.arch}`,
    )
  }
  const fresh = join(cache, `${name}.${process.pid}`)
  const debs = join(fresh, 'debs')
  mkdirSync(debs, { recursive: true })
  try {
    download(packages, debs)
    for (const deb of readdirSync(debs)) execFileSync('dpkg', ['-x', join(debs, deb), fresh])
    rmSync(debs, { recursive: true })
    try {
      renameSync(fresh, join(cache, name))
    } catch (error) {
      // Another process was faster; its copy is as good.
      if (!existsSync(join(cache, name))) throw error
    }
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    throw new Error(
      `${packages.join(' ')} could not be downloaded (${text.trim()}): run this on Debian, with its packages in reach`,
      {
        cause: error,
      },
    )
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

function download(packages: readonly string[], into: string): void {
  const apt = (...args: string[]): void => {
    execFileSync('apt-get', ['--quiet=2', '-o', 'APT::Sandbox::User=root', ...args], {
      cwd: into,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  }
  try {
    apt('download', ...packages)
  } catch {
    // Without lists, as in a fresh container, or with lists of yesterday.
    apt('update')
    apt('download', ...packages)
  }
}

if (import.meta.main) {
  try {
    console.log(`lab: User-Mode Linux is ${installUml().kernel}`)
  } catch (error) {
    console.error(`lab: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
