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
  const there = debianRoot()
  if (there !== null) return there
  if (process.getuid?.() !== 0) throw new Error('a Debian root is made by root: run "sudo npm run lab"')
  const fresh = join(labCache, `debian.${process.pid}`)
  const file = join(labCache, 'debian.tar')
  mkdirSync(fresh, { recursive: true })
  try {
    // A script: it runs unpacked.
    downloadPackages(['mmdebstrap'], fresh)
    const sources = globSync(['sources.list', 'sources.list.d/*.{list,sources}'], { cwd: '/etc/apt' })
      .map((name) => join('/etc/apt', name))
      .filter((name) => /^(deb |Types:)/m.test(readFileSync(name, 'utf8')))
    const tar = join(fresh, 'root.tar')
    run(
      'perl',
      join(fresh, 'usr/bin/mmdebstrap'),
      '--quiet',
      '--mode=root',
      '--variant=essential',
      `--include=${included.join(',')}`,
      codename(),
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

function codename(): string {
  const name = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  if (name === undefined) throw new Error('/etc/os-release names no release')
  return name
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
