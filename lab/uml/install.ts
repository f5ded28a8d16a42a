import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { labCache, unpackedPackages } from '../debianPackages.ts'

/**
 * Debian packages that are unpacked, each list into a directory of the cache of its own; none is installed on the host.
 * A new list completes caches that are there already; a list that changes needs another name.
 */
const bundles = {
  uml: ['user-mode-linux', 'busybox-static'],
  ipvsadm: ['ipvsadm', 'libpopt0', 'libnl-3-200', 'libnl-genl-3-200'],
}

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
export function installUml(cache = labCache): UmlFiles {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `User-Mode Linux exists for Linux on x86-64, and this is ${process.platform} on ${process.arch}`,
    )
  }
  for (const [name, packages] of Object.entries(bundles))
    unpackedPackages(packages.join(' '), name, packages, cache)
  mkdirSync(join(cache, 'compiled'), { recursive: true })
  return filesIn(cache)
}

if (import.meta.main) {
  try {
    console.log(`lab: User-Mode Linux is ${installUml().kernel}`)
  } catch (error) {
    console.error(`lab: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
