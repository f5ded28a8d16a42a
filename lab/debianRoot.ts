import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { downloadPackages, labCache } from './debianPackages.ts'

/** Beside Debian's essential packages: what the package of Torb depends on, and what reads its unit and its manual page. */
const included = ['passwd', 'libatomic1', 'libstdc++6', 'systemd', 'groff-base']

/** A tar of a small Debian, or null where `installDebianRoot` has not run yet. */
export function debianRoot(): string | null {
  const file = join(labCache, 'debian.tar')
  return existsSync(file) ? file : null
}

/**
 * Makes a root file system of this machine's Debian release, once, into `.lab/` of the checkout: packages are installed into
 * it and containers are made of it. Nothing of the host changes.
 *
 * @returns path of its tar
 * @throws Error with the cure where this is no Debian, not root, or nothing can be downloaded
 */
export function installDebianRoot(): string {
  return debianRoot() ?? makeRoot('debian', included, () => ({ release: codename(), sources: sources() }))
}

/**
 * The same of any release, with these packages, from the mirror that this machine uses.
 *
 * @param release a name such as trixie
 */
export function installReleaseRoot(release: string, packages: readonly string[]): string {
  const file = join(labCache, `debian-${release}.tar`)
  if (existsSync(file)) return file
  return makeRoot(`debian-${release}`, packages, () => ({ release, sources: [mirror()] }))
}

function makeRoot(
  name: string,
  packages: readonly string[],
  /** Release and sources, as mmdebstrap takes them. */
  origin: () => { readonly release: string; readonly sources: readonly string[] },
): string {
  if (process.getuid?.() !== 0) throw new Error('a Debian root is made by root: run "sudo npm run lab"')
  const fresh = join(labCache, `${name}.${process.pid}`)
  const file = join(labCache, `${name}.tar`)
  mkdirSync(fresh, { recursive: true })
  try {
    // A script: it runs unpacked.
    downloadPackages(['mmdebstrap'], fresh)
    const { release, sources } = origin()
    const tar = join(fresh, 'root.tar')
    run(
      'perl',
      join(fresh, 'usr/bin/mmdebstrap'),
      '--quiet',
      '--mode=root',
      '--variant=essential',
      `--include=${packages.join(',')}`,
      // A mirror that stands still is as good here.
      '--aptopt=Acquire::Check-Valid-Until "false"',
      release,
      tar,
      ...sources,
    )
    renameSync(tar, file)
    return file
  } catch (error) {
    throw new Error(
      `a Debian root could not be made (${(error as Error).message.trim()}): run this on Debian, with its packages in reach and perl installed`,
      { cause: error },
    )
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

/** Files of apt's sources that name any. */
const sources = (): readonly string[] =>
  globSync(['sources.list', 'sources.list.d/*.{list,sources}'], { cwd: '/etc/apt' })
    .map((name) => join('/etc/apt', name))
    .filter((name) => /^(deb |Types:)/m.test(readFileSync(name, 'utf8')))

/** The first mirror that apt knows. */
function mirror(): string {
  const texts = sources().map((file) => readFileSync(file, 'utf8'))
  const uri = /^(?:URIs:|deb(?: \[.*?\])?) *(\S+)/m.exec(texts.join('\n'))?.[1]
  if (uri === undefined) throw new Error("apt's sources name no mirror")
  return uri
}

function codename(): string {
  const name = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  if (name === undefined) throw new Error('/etc/os-release names no release')
  return name
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
