import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, existsSync, mkdtempDisposableSync, readFileSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TrafficActor } from '../../lab/actors/traffic.ts'
import { installDebianRoot } from '../../lab/debianRoot.ts'
import { Network, namespacesMissing } from '../../lab/namespaces.ts'
import { buildDeb } from '../../packaging/deb.ts'
import { DebianRoot, type Service } from '../fixtures/debianRoot.ts'
import { capabilityMask, setprivArguments, unitWords } from '../fixtures/unit.ts'

const missing = rootMissing()
if (missing !== null) console.log(`skipped: the Debian package: ${missing}`)

function rootMissing(): string | null {
  const without = namespacesMissing()
  if (without !== null) return without
  try {
    installDebianRoot()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** What dpkg itself writes down, the copies that useradd keeps, and what systemd-analyze notes. */
const ownNotes =
  /^\.\/(var\/log\/|var\/lib\/dpkg\/|var\/cache\/ldconfig\/|etc\/(passwd|group|shadow|gshadow|subuid|subgid)-$|etc\/\.pwd\.lock$|run\/|tmp\/)/

describe.skipIf(missing !== null)('the Debian package', () => {
  const stop = new DisposableStack()
  let network: Network
  let root: DebianRoot
  let deb = ''
  let before: string[] = []
  let service: Service | null = null

  const files = (): string[] => {
    const find = execFileSync('find', ['.', '-printf', '%p %M %U:%G %l\n'], {
      cwd: root.path,
      encoding: 'utf8',
    })
    return find
      .split('\n')
      .filter((line) => !ownNotes.test(line.split(' ', 1)[0] ?? ''))
      .toSorted()
  }
  const accounts = (): string =>
    ['passwd', 'group', 'shadow', 'gshadow']
      .map((name) => readFileSync(join(root.path, 'etc', name), 'utf8'))
      .join('')
  const id = async (flag: string): Promise<string> => (await root.run('id', flag, 'torb')).out.trim()
  const asService = async (): Promise<string[]> => [
    'setpriv',
    ...setprivArguments({ uid: await id('-u'), gid: await id('-g') }),
  ]
  let accountsBefore = ''

  beforeAll(async () => {
    const place = stop.use(mkdtempDisposableSync(join(tmpdir(), 'torb-debtest-')))
    const built = await buildDeb({ to: place.path, epoch: 1_700_000_000, quick: true })
    network = await Network.create({ bridges: {}, local: [], members: {} })
    stop.defer(() => network.close())
    root = stop.use(new DebianRoot(network.hub.name))
    deb = root.put(built)
    before = files()
    accountsBefore = accounts()
  })

  afterAll(async () => {
    await service?.end()
    stop.dispose()
  })

  it('has the same bytes whenever it is built of the same sources', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-debtest-'))
    const again = await buildDeb({ to: place.path, epoch: 1_700_000_000, quick: true })
    const digest = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')
    expect(digest(again)).toBe(digest(join(root.path, deb)))
  })

  it('depends on what its Node is linked against', async () => {
    const depends = execFileSync('dpkg-deb', ['--field', join(root.path, deb), 'Depends'], {
      encoding: 'utf8',
    })
    expect(depends).toMatch(/libc6 .*libstdc\+\+6 .*libgcc-s1.*libatomic1/)
    const linked = execFileSync('ldd', [process.execPath], { encoding: 'utf8' })
    const libraries = [...linked.matchAll(/^\s+(lib\S+?)\.so/gm)].map(([, name]) => name)
    // libdl, libm and libpthread are libc6's.
    expect(libraries.toSorted()).toEqual(
      ['libatomic', 'libc', 'libdl', 'libgcc_s', 'libm', 'libpthread', 'libstdc++'].toSorted(),
    )
  })

  it('is installed: its user, its directory, its Node; nothing is enabled without systemd', async () => {
    expect(await root.run('dpkg', '--install', deb)).toMatchObject({ status: 0, err: '' })
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(await root.run('torb', '--version')).toEqual({ status: 0, out: `torb ${version}\n`, err: '' })
    const directory = statSync(join(root.path, 'var/lib/torb'))
    expect([directory.uid, directory.gid].map(String)).toEqual([await id('-u'), await id('-g')])
    expect(directory.mode & 0o777).toBe(0o700)
    expect((await root.run('getent', 'passwd', 'torb')).out).toMatch(
      /:\/var\/lib\/torb:\/usr\/sbin\/nologin\n$/,
    )
    expect(existsSync(join(root.path, 'etc/systemd/system/multi-user.target.wants/torb.service'))).toBe(false)
    expect((await root.run('dpkg', '--verify', 'torb')).out).toBe('')
    expect((await root.run('torb', 'doctor', '--json')).out).toContain('"nodeVersion": "26.')
  })

  it('has a manual page that groff has nothing to say against', async () => {
    const page = 'gzip -dc /usr/share/man/man1/torb.1.gz | groff -man -Tutf8 -P-cbou -ww -rCHECKSTYLE=2'
    const shown = await root.run('sh', '-c', page)
    expect(shown).toMatchObject({ status: 0, err: '' })
    expect(shown.out).toContain('--local-trust')
  })

  it('has a unit that systemd accepts, and that exposes little', async () => {
    const unit = '/usr/lib/systemd/system/torb.service'
    expect(await root.run('systemd-analyze', 'verify', '--man=no', unit)).toEqual({
      status: 0,
      out: '',
      err: '',
    })
    // On systemd's scale of 100; 96 is what a unit without any setting gets.
    const exposed = await root.run(
      'systemd-analyze',
      'security',
      '--offline=yes',
      '--threshold=40',
      '--no-pager',
      unit,
    )
    expect(exposed).toMatchObject({ status: 0 })
  })

  it('runs as the unit says, with exactly its capabilities, and serves port 80', async () => {
    service = await root.start(...(await asService()), ...unitWords('ExecStart'))
    expect(service.firstLine).toMatch(/^torb ready http:\S+:4672 plane=/)
    const status = readFileSync(`/proc/${service.pid}/status`, 'utf8')
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1]
    const wanted = capabilityMask(['CAP_NET_ADMIN', 'CAP_NET_BIND_SERVICE'])
    expect(['CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'CapBnd'].map(field)).toEqual(Array(5).fill(wanted))
    expect([field('Uid'), field('Gid'), field('NoNewPrivs')]).toEqual([await id('-u'), await id('-g'), '1'])

    const traffic = await network.hub.actor<TrafficActor>(
      new URL('../../lab/actors/traffic.ts', import.meta.url),
    )
    await traffic.listen('one', '127.0.0.1', 9001)
    await traffic.listen('two', '127.0.0.1', 9002)
    const backend = (port: number): object => ({ host: '127.0.0.1', port, pulse: { type: 'none' } })
    const services = {
      web: {
        host: '127.0.0.1',
        port: 80,
        method: 'rr',
        backends: { one: backend(9001), two: backend(9002) },
      },
    }
    appendFileSync(join(root.path, 'tmp/services.json'), JSON.stringify({ services }))
    const file = '/tmp/services.json'
    // same-user: root is another user, and needs the token, which it can read.
    const stranger = await root.run('torb', 'apply', file)
    expect(stranger).toMatchObject({ status: 1, err: expect.stringContaining('wants a token') as string })
    const applied = await root.run('torb', 'apply', '--token-file', '/var/lib/torb/token', file)
    expect(applied).toMatchObject({ status: 0, err: '' })
    const listed = await root.run(...(await asService()), 'torb', 'services')
    expect(listed).toMatchObject({ status: 0, out: expect.stringContaining('127.0.0.1:80') as string })
    const { answers, failures } = await traffic.exchange({
      protocol: 'tcp',
      from: ['127.0.0.1'],
      to: { address: '127.0.0.1', port: 80 },
      count: 6,
    })
    expect(failures).toEqual([])
    expect(answers.map(({ backend: name }) => name).toSorted()).toEqual([
      'one',
      'one',
      'one',
      'two',
      'two',
      'two',
    ])
    expect(await service.end()).toBe(0)
  })

  it('keeps what the administrator wrote and what Torb stored when it is installed anew', async () => {
    const configuration = join(root.path, 'etc/torb/torb.yaml')
    appendFileSync(configuration, 'verbose: true\n')
    expect(await root.run('dpkg', '--install', deb)).toMatchObject({ status: 0, err: '' })
    expect(readFileSync(configuration, 'utf8')).toMatch(/verbose: true\n$/)
    service = await root.start(...(await asService()), ...unitWords('ExecStart'))
    expect((await root.run(...(await asService()), 'torb', 'services')).out).toContain('web')
    expect(await service.end()).toBe(0)
  })

  it('leaves configuration and state when it is removed, and nothing at all when it is purged', async () => {
    expect(await root.run('dpkg', '--remove', 'torb')).toMatchObject({ status: 0, err: '' })
    expect(existsSync(join(root.path, 'usr/lib/torb'))).toBe(false)
    for (const kept of ['etc/torb/torb.yaml', 'var/lib/torb/token']) {
      expect(existsSync(join(root.path, kept))).toBe(true)
    }
    expect(await root.run('dpkg', '--purge', 'torb')).toMatchObject({ status: 0, err: '' })
    expect(files()).toEqual(before)
    expect(accounts()).toBe(accountsBefore)
  })
})
