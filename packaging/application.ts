import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const source = fileURLToPath(new URL('..', import.meta.url))

/** A package of npm that Torb needs to run. */
export interface Dependency {
  readonly name: string
  readonly version: string
  /** Its directory, such as node_modules/zod. */
  readonly path: string
}

interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      {
        readonly version: string
        readonly dev?: boolean
        readonly optional?: boolean
        readonly os?: readonly string[] | string
        readonly cpu?: readonly string[] | string
      }
    >
  >
}

/** What of package-lock.json runs Torb on Linux with these processors; `cpu` as Node names it. */
export function productionDependencies(lock: Lock, cpu: string): Dependency[] {
  const fits = (wanted: readonly string[] | string | undefined, has: string): boolean =>
    wanted === undefined || [wanted].flat().includes(has)
  return Object.entries(lock.packages)
    .filter(
      ([path, { dev, os, cpu: cpus }]) => path !== '' && dev !== true && fits(os, 'linux') && fits(cpus, cpu),
    )
    .map(([path, { version }]) => ({
      path,
      version,
      name: path.slice(path.lastIndexOf('node_modules/') + 13),
    }))
}

/** Node does not strip types below node_modules, and nothing is compiled or read there. */
const needless = /\.([cm]?ts|map|md|markdown|cc|hh|h|S|inc|gypi)$/
const needlessDirectories = /^(docs?|tests?|examples?|benchmarks?|include|share|\.github)(\/|$)/

/**
 * Copies what runs Torb (programs, dependencies, its Node) into a directory, laid out as a checkout is.
 *
 * @returns the dependencies that are there now
 * @throws Error where node_modules is not what package-lock.json says
 */
export function copyApplication(to: string, cpu: string): Dependency[] {
  for (const name of ['bin', 'src', 'package.json', 'LICENSE']) {
    cpSync(join(source, name), join(to, name), {
      recursive: true,
      filter: (file) => !file.endsWith('.test.ts'),
    })
  }
  const lock = JSON.parse(readFileSync(join(source, 'package-lock.json'), 'utf8')) as Lock
  const dependencies = productionDependencies(lock, cpu)
  for (const { name, version, path } of dependencies) {
    const from = join(source, path)
    const manifest = join(from, 'package.json')
    const found = existsSync(manifest)
      ? (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version
      : 'missing'
    if (found !== version) {
      throw new Error(
        `${path} is ${found} and package-lock.json wants ${name} ${version}: run "npm ci" on ${cpu}`,
      )
    }
    cpSync(from, join(to, path), {
      recursive: true,
      filter: (file) => {
        const inner = file.slice(from.length + 1)
        return (
          !needless.test(inner) &&
          !needlessDirectories.test(inner) &&
          !inner.split(sep).includes('node_modules')
        )
      },
    })
  }
  // Where bin/torb looks for it.
  mkdirSync(join(to, 'node_modules/.bin'))
  symlinkSync(`../node-linux-${cpu}/bin/node`, join(to, 'node_modules/.bin/node'))
  return dependencies
}
