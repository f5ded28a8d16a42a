import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Where the lab keeps what it downloaded; git ignores it. */
export const labCache = fileURLToPath(new URL('../.lab/', import.meta.url))

/**
 * Downloads Debian packages and unpacks them beside each other into a directory of the cache, once; none is installed on
 * the host.
 *
 * @param what for people
 * @returns the directory
 * @throws Error with the cure where they cannot be downloaded
 */
export function unpackedPackages(
  what: string,
  name: string,
  packages: readonly string[],
  cache = labCache,
): string {
  const home = join(cache, name)
  if (existsSync(home)) return home
  const fresh = join(cache, `${name}.${process.pid}`)
  try {
    downloadPackages(packages, fresh)
    renameSync(fresh, home)
  } catch (error) {
    // Another process may have been faster; its copy is as good.
    if (existsSync(home)) return home
    throw new Error(
      `${what} could not be downloaded (${(error as Error).message.trim()}): run this on Debian, with its packages in reach`,
      { cause: error },
    )
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  return home
}

/** Downloads Debian packages and unpacks them into a directory beside each other. @throws Error with what apt-get said */
export function downloadPackages(packages: readonly string[], into: string): void {
  const debs = join(into, 'debs')
  mkdirSync(debs, { recursive: true })
  const apt = (...args: string[]): void => {
    execFileSync('apt-get', ['--quiet=2', '-o', 'APT::Sandbox::User=root', ...args], {
      cwd: debs,
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
  for (const deb of globSync('*.deb', { cwd: debs })) execFileSync('dpkg', ['-x', join(debs, deb), into])
  rmSync(debs, { recursive: true })
}
