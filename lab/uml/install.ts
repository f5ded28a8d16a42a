import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Debian packages that are unpacked beside each other; none is installed on the host. */
const packages = ['user-mode-linux', 'busybox-static']

/** The cache in the checkout; git ignores it. */
const cache = fileURLToPath(new URL('../../.lab/', import.meta.url))

export interface UmlFiles {
  readonly root: string
  readonly kernel: string
  readonly busybox: string
  /** The directory that holds modules.dep. */
  readonly modules: string
}

/** The unpacked User-Mode Linux, or null where `installUml` has not run yet. */
export function umlFiles(): UmlFiles | null {
  const root = join(cache, 'uml')
  if (!existsSync(root)) return null
  const versions = join(root, 'usr/lib/uml/modules')
  const version = readdirSync(versions)[0] ?? ''
  return {
    root,
    kernel: join(root, 'usr/bin/linux.uml'),
    busybox: join(root, 'bin/busybox'),
    modules: join(versions, version),
  }
}

/**
 * Downloads and unpacks User-Mode Linux (42 MB) into `.lab/` of the checkout, once.
 *
 * @throws Error with the cure where this machine is no amd64 Debian or nothing can be downloaded
 */
export function installUml(): UmlFiles {
  const there = umlFiles()
  if (there !== null) return there
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `User-Mode Linux exists for Linux on x86-64, and this is ${process.platform} on ${process.arch}`,
    )
  }
  const fresh = join(cache, `uml.${process.pid}`)
  const debs = join(fresh, 'debs')
  mkdirSync(debs, { recursive: true })
  try {
    download(debs)
    for (const deb of readdirSync(debs)) execFileSync('dpkg', ['-x', join(debs, deb), fresh])
    rmSync(debs, { recursive: true })
    try {
      renameSync(fresh, join(cache, 'uml'))
    } catch (error) {
      // Another process was faster; its copy is as good.
      if (umlFiles() === null) throw error
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
  const files = umlFiles()
  if (files === null) throw new Error(`User-Mode Linux is not in ${cache} although it was unpacked there`)
  return files
}

function download(into: string): void {
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
    console.log(`lab: User-Mode Linux is in ${installUml().root}`)
  } catch (error) {
    console.error(`lab: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
