import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempDisposableSync,
  readFileSync,
  readdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { constants, gzipSync } from 'node:zlib'
import { commands } from '../src/cli/index.ts'
import { copyApplication, source } from './application.ts'
import { copyright } from './copyright.ts'
import { manPage } from './manPage.ts'

const place = '/usr/lib/torb'
const docs = '/usr/share/doc/torb'

/** Processors as Node names them, and as Debian does. */
const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

export interface DebOptions {
  /** Directory of the package. */
  readonly to: string
  /** Seconds since 1970: the time of every file in the package, so that the same sources make the same bytes. */
  readonly epoch: number
  /** Larger, and done in seconds. */
  readonly quick?: boolean
}

/**
 * Builds the Debian package of this checkout for this machine's processor, its Node included.
 *
 * @returns path of the package
 * @throws Error where dpkg-deb is missing or node_modules is not what package-lock.json says
 */
export async function buildDeb({ to, epoch, quick = false }: DebOptions): Promise<string> {
  const architecture = architectures[process.arch]
  if (architecture === undefined) {
    throw new Error(`there is no Node for ${process.arch} in package.json: build on x86-64 or arm64`)
  }
  const { version } = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as { version: string }
  using stage = mkdtempDisposableSync(join(tmpdir(), 'torb-deb-'))
  const root = stage.path
  const file = (path: string, text: string | Buffer, mode = 0o644): void => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
    chmodSync(join(root, path), mode)
  }
  const gzipped = (text: string): Buffer => gzipSync(text, { level: constants.Z_BEST_COMPRESSION })
  const own = (path: string): string => readFileSync(join(source, path), 'utf8')

  const dependencies = copyApplication(join(root, place), process.arch)
  mkdirSync(join(root, 'usr/bin'))
  symlinkSync('../lib/torb/bin/torb', join(root, 'usr/bin/torb'))
  file('/etc/torb/torb.yaml', own('packaging/deb/torb.yaml'))
  file('/usr/lib/systemd/system/torb.service', own('packaging/systemd/torb.service'))
  const day = new Date(epoch * 1000).toISOString().slice(0, 10)
  file('/usr/share/man/man1/torb.1.gz', gzipped(await manPage(commands, version, day)))
  file(`${docs}/copyright`, copyright(join(root, place), place, dependencies))
  file(`${docs}/changelog.gz`, gzipped(own('CHANGELOG.md')))
  for (const name of readdirSync(join(source, 'docs')))
    file(`${docs}/${name}.gz`, gzipped(own(`docs/${name}`)))

  const kibibytes = settle(root, epoch)
  for (const name of ['postinst', 'prerm', 'postrm'])
    file(`/DEBIAN/${name}`, own(`packaging/deb/${name}`), 0o755)
  file('/DEBIAN/conffiles', '/etc/torb/torb.yaml\n')
  file('/DEBIAN/control', control({ version, architecture, kibibytes }))
  settle(join(root, 'DEBIAN'), epoch)

  const deb = join(resolve(to), `torb_${version}_${architecture}.deb`)
  mkdirSync(to, { recursive: true })
  const compression = quick ? ['-Zgzip', '-z1'] : ['-Zxz']
  execFileSync('dpkg-deb', ['--root-owner-group', ...compression, '--build', root, deb], {
    env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  return deb
}

interface ControlFields {
  readonly version: string
  readonly architecture: string
  readonly kibibytes: number
}

function control({ version, architecture, kibibytes }: ControlFields): string {
  return [
    'Package: torb',
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    'Maintainer: The authors of Torb <torb@localhost>',
    `Installed-Size: ${kibibytes}`,
    // What the Node of node-linux-* is linked against (its own list: readelf -d), and what postinst calls.
    'Depends: libc6 (>= 2.28), libstdc++6 (>= 8), libgcc-s1, libatomic1, passwd',
    'Recommends: ipvsadm, kmod',
    'Section: net',
    'Priority: optional',
    'Description: load balancer with a REST API over exchangeable data planes',
    ' Services and backends come by a REST API, the one of GORB, and from a file;',
    ' backends are checked, taken out when they fail and brought back gradually.',
    ' .',
    ' The package brings its own Node.js and runs as the user torb, with no more',
    ' capabilities than CAP_NET_ADMIN and CAP_NET_BIND_SERVICE.',
    '',
  ].join('\n')
}

/** Gives every file the modes and the time of the package. @returns what they take on a disk, in KiB (Policy 5.6.20) */
function settle(path: string, epoch: number): number {
  const stat = lstatSync(path)
  let kibibytes = 1
  if (stat.isDirectory()) {
    chmodSync(path, 0o755)
    for (const name of readdirSync(path)) kibibytes += settle(join(path, name), epoch)
  } else if (stat.isFile()) {
    chmodSync(path, (stat.mode & 0o111) === 0 ? 0o644 : 0o755)
    kibibytes = Math.ceil(stat.size / 1024)
  }
  lutimesSync(path, epoch, epoch)
  return kibibytes
}

/** The time of the sources: SOURCE_DATE_EPOCH where it is given (reproducible-builds.org), else that of the last commit. */
export function sourceTime(environment: NodeJS.ProcessEnv = process.env): number {
  const given = environment['SOURCE_DATE_EPOCH']
  if (given !== undefined) {
    if (!/^\d+$/.test(given)) throw new Error(`SOURCE_DATE_EPOCH is "${given}": give seconds since 1970`)
    return Number(given)
  }
  try {
    return Number(execFileSync('git', ['-C', source, 'log', '-1', '--format=%ct'], { encoding: 'utf8' }))
  } catch (error) {
    throw new Error('this is no git checkout: say what time the sources are of by SOURCE_DATE_EPOCH', {
      cause: error,
    })
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      to: { type: 'string', default: join(source, 'dist') },
      quick: { type: 'boolean', default: false },
    },
  })
  try {
    const deb = await buildDeb({ ...values, epoch: sourceTime() })
    console.log(`${deb} ${(lstatSync(deb).size / 2 ** 20).toFixed(1)} MiB`)
  } catch (error) {
    console.error(`package:deb: ${(error as Error).message}`)
    process.exitCode = 1
  }
}

if (import.meta.main) await main()
