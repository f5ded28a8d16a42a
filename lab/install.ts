import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { installConsul } from './consul.ts'
import { installDebianRoot } from './debianRoot.ts'
import { installDocker } from './docker.ts'
import { installEtcd } from './etcd.ts'
import { installUml } from './uml/install.ts'

/** A Debian package that tests or benches run, and what it is for. */
interface LabPackage {
  readonly name: string
  readonly reason: string
  /** Units that its scripts would enable; nothing of the lab runs as a service. */
  readonly units?: readonly string[]
}

/** What `npm run lab` installs. Add a row for each new program that a test or bench starts. */
export const labPackages: readonly LabPackage[] = [
  { name: 'iproute2', reason: 'ip and tc: network namespaces with clients, director and backends' },
  { name: 'perl', reason: 'mmdebstrap, which makes the Debian that packages are installed into' },
  { name: 'procps', reason: 'sysctl inside namespaces' },
  { name: 'haproxy', reason: 'peer of the TCP and HTTP benches', units: ['haproxy.service'] },
  { name: 'nginx', reason: 'peer of the TCP and HTTP benches', units: ['nginx.service'] },
  { name: 'libnginx-mod-stream', reason: 'TCP proxying in nginx' },
  { name: 'caddy', reason: 'peer of the HTTP benches', units: ['caddy.service', 'caddy-api.service'] },
  { name: 'wrk', reason: 'load of the HTTP benches' },
  {
    name: 'ovn-central',
    reason: "OVN's northd and databases",
    units: ['ovn-central.service', 'ovn-ovsdb-server-nb.service', 'ovn-ovsdb-server-sb.service'],
  },
  { name: 'ovn-host', reason: "OVN's controller", units: ['ovn-host.service'] },
  {
    name: 'openvswitch-switch',
    reason: "Open vSwitch, whose userspace datapath carries OVN's packets",
    units: ['openvswitch-switch.service', 'ovs-record-hostname.service'],
  },
  { name: 'ethtool', reason: 'checksums in software, which that datapath needs' },
]

/** Names of `packages` that dpkg does not hold as installed. */
export function missingPackages(packages: readonly LabPackage[]): LabPackage[] {
  const query = spawnSync(
    'dpkg-query',
    ['-W', '-f', '${Package} ${Status}\n', ...packages.map(({ name }) => name)],
    {
      encoding: 'utf8',
    },
  )
  if (query.error !== undefined) throw new Error(`dpkg-query cannot be run: ${query.error.message}`)
  const installed = new Set(
    query.stdout
      .split('\n')
      .filter((line) => line.endsWith(' install ok installed'))
      .map((line) => line.split(' ', 1)[0]),
  )
  return packages.filter(({ name }) => !installed.has(name))
}

/**
 * Installs what is missing, without starting or enabling any service.
 *
 * @returns the packages that it installed
 * @throws Error with the cure where this is not Debian, not root, or apt-get fails
 */
export function installPackages(
  packages: readonly LabPackage[],
  isRoot = process.getuid?.() === 0,
): readonly LabPackage[] {
  const names = packages.map(({ name }) => name).join(' ')
  if (!existsSync('/usr/bin/dpkg-query') || !existsSync('/usr/bin/apt-get')) {
    throw new Error(
      `the lab is installed by apt-get and this is no Debian: install by your own means: ${names}`,
    )
  }
  const missing = missingPackages(packages)
  if (missing.length === 0) return []
  const wanted = missing.map(({ name }) => name)
  if (!isRoot) {
    throw new Error(`installing ${wanted.join(' ')} needs root: run "sudo npm run lab"`)
  }
  withoutServiceStarts(() => {
    // The lists may be absent (containers) or too old to fetch from; only then are they worth the time.
    const install = (): boolean => apt('install', '--yes', '--no-install-recommends', ...wanted)
    if (!install() && !(apt('update') && install())) {
      throw new Error(`apt-get could not install ${wanted.join(' ')}: its messages are above`)
    }
  })
  // A unit that was not started now would start with the next boot.
  const units = missing.flatMap(({ units = [] }) => units)
  if (units.length > 0 && existsSync('/run/systemd/system')) {
    spawnSync('systemctl', ['disable', '--quiet', ...units], { stdio: 'inherit' })
  }
  return missing
}

function apt(...args: readonly string[]): boolean {
  const { status } = spawnSync('apt-get', ['--quiet=2', '-o', 'DPkg::Lock::Timeout=120', ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  return status === 0
}

/** Debian's way to forbid starts by package scripts: policy-rc.d that exits with 101 (deb-systemd-invoke obeys it too). */
function withoutServiceStarts(install: () => void): void {
  const policy = '/usr/sbin/policy-rc.d'
  if (existsSync(policy)) return install()
  writeFileSync(policy, '#!/bin/sh\nexit 101\n')
  chmodSync(policy, 0o755)
  try {
    install()
  } finally {
    rmSync(policy, { force: true })
  }
}

function main(): void {
  const { values } = parseArgs({ options: { list: { type: 'boolean', default: false } } })
  if (values.list) {
    for (const { name, reason } of labPackages) console.log(`${name.padEnd(22)} ${reason}`)
    return
  }
  try {
    const installed = installPackages(labPackages).map(({ name }) => name)
    console.log(
      `lab: ${installed.length === 0 ? `all ${labPackages.length} packages are there` : `installed ${installed.join(' ')}`}`,
    )
    console.log(`lab: Consul is ${installConsul()}`)
    console.log(`lab: etcd is ${installEtcd()}`)
    console.log(`lab: a Debian to install into is ${installDebianRoot()}`)
    installDocker()
    console.log('lab: a Docker engine is there')
    if (process.arch === 'x64') {
      installUml()
      console.log('lab: User-Mode Linux and ipvsadm for it are there')
    } else {
      console.log(
        `lab: no User-Mode Linux, which exists for x86-64 only; what needs it is skipped on ${process.arch}`,
      )
    }
  } catch (error) {
    console.error(`lab: ${(error as Error).message}`)
    process.exitCode = 1
  }
}

if (import.meta.main) main()
