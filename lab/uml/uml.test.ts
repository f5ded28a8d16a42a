import { existsSync, mkdirSync, mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { installUml, umlMissing } from './install.ts'
import { insertionOrder } from './modules.ts'
import { bootUml, makeDisk } from './uml.ts'

const skipReason = umlMissing()
if (skipReason !== null) console.log(`skipped: User-Mode Linux: ${skipReason}`)

describe('insertionOrder', () => {
  it('puts what a module needs before it, each once', () => {
    const text =
      'net/ip_vs.ko: net/nf_conntrack.ko lib/crc.ko\nnet/ip_vs_rr.ko: net/ip_vs.ko net/nf_conntrack.ko lib/crc.ko\nlib/crc.ko:\n'
    expect(insertionOrder(text, ['ip-vs-rr', 'ip_vs'])).toEqual([
      'lib/crc.ko',
      'net/nf_conntrack.ko',
      'net/ip_vs.ko',
      'net/ip_vs_rr.ko',
    ])
    expect(() => insertionOrder(text, ['twos'])).toThrow('no module twos')
  })
})

describe.skipIf(skipReason !== null)('User-Mode Linux', () => {
  it('is completed where an older cache lacks a program', () => {
    using cache = mkdtempDisposableSync(join(tmpdir(), 'torb-umltest-'))
    const modules = join(cache.path, 'uml/usr/lib/uml/modules/6.1.0')
    mkdirSync(modules, { recursive: true })
    const files = installUml(cache.path)
    expect(files.modules).toBe(modules)
    expect(existsSync(files.ipvsadm.program)).toBe(true)
  })

  it('runs commands, loads modules, shares one directory, and leaves the host alone', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-umltest-'))
    writeFileSync(join(place.path, 'in'), 'from the host')
    await using uml = await bootUml({
      modules: ['ip_vs_rr', 'veth'],
      shared: place.path,
      setup: ['echo booted'],
    })
    expect(uml.console()).toContain('booted')
    expect(await uml.guest.run('cat', ['/run/host/in'])).toEqual({
      status: 0,
      stdout: 'from the host',
      stderr: '',
    })
    expect(
      (await uml.guest.run('sh', ['-c', 'echo out > /run/host/out; cat /proc/net/ip_vs; exit 3'])).status,
    ).toBe(3)
    expect(readFileSync(join(place.path, 'out'), 'utf8')).toBe('out\n')
    expect((await uml.guest.run('cat', ['/proc/modules'])).stdout).toMatch(/^ip_vs_rr /m)
    const own = fileURLToPath(import.meta.url)
    expect((await uml.guest.run('touch', [own])).stderr).toContain('Read-only file system')
    // Longer than every buffer on the way.
    const long = 'x'.repeat(90_000)
    expect((await uml.guest.run('echo', [long])).stdout).toBe(`${long}\n`)
    expect((await uml.guest.run('/no/such', [])).status).toBe(127)
    expect(await uml.shutdown()).toBe(0)
    await expect(uml.guest.run('true', [])).rejects.toThrow('the serial line ended')
  })

  it('has ipvsadm, and loads modules when they are asked for', async () => {
    await using uml = await bootUml({ autoload: true })
    const ipvsadm = (line: string) => uml.guest.run('ipvsadm', line.split(' '))
    expect((await uml.guest.run('cat', ['/proc/modules'])).stdout).not.toContain('ip_vs')
    expect(await ipvsadm('-A -t 10.0.0.1:80 -s sh')).toEqual({ status: 0, stdout: '', stderr: '' })
    // This kernel was built without it.
    expect((await ipvsadm('-A -t 10.0.0.2:80 -s twos')).stderr).toContain('Scheduler or persistence engine')
    expect((await ipvsadm('-Sn')).stdout).toBe('-A -t 10.0.0.1:80 -s sh\n')
    const { stdout } = await uml.guest.run('cat', ['/proc/modules'])
    expect(stdout).toMatch(/^ip_vs_sh /m)
    expect(stdout).toMatch(/^ip_vs /m)
  })

  it('keeps on its disk what was synced when it is killed', async () => {
    using place = mkdtempDisposableSync(join(tmpdir(), 'torb-umltest-'))
    const disk = join(place.path, 'disk')
    makeDisk(disk, 32)
    const setup = ['bb mkdir /run/disk', 'bb mount -t ext4 /dev/ubda /run/disk']
    const first = await bootUml({ disk, setup })
    expect((await first.guest.run('sh', ['-c', 'echo kept > /run/disk/file && sync'])).status).toBe(0)
    await first.kill()
    await using second = await bootUml({ disk, setup })
    expect((await second.guest.run('cat', ['/run/disk/file'])).stdout).toBe('kept\n')
  })

  it('that does not come up says what its console said', async () => {
    await expect(bootUml({ setup: ['echo something is wrong', 'exit 1'] })).rejects.toThrow(
      'something is wrong',
    )
  })
})
