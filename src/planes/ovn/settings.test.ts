import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ovnMissing } from './settings.ts'

describe('whether there may be an OVN', () => {
  it('tells of sockets that are not there, and takes what is elsewhere for granted', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'torb-ovn-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const path = join(directory, 'db.sock')
    expect(await ovnMissing({ ovn_nb: [`unix:${path}`], ovn_sb: ['tcp:[::1]:6642'] })).toBe(
      `there is no northbound database of OVN at unix:${path}: start it (ovn-ctl start_northd), or say where it is (ovn_nb)`,
    )
    const server = createServer().listen(path)
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    expect(await ovnMissing({ ovn_nb: [`unix:${path}`], ovn_sb: ['tcp:[::1]:6642'] })).toBeNull()
    expect(await ovnMissing({ ovn_nb: [`unix:${path}`], ovn_sb: ['unix:/dev/null'] })).toContain('southbound')
    // A path through a file is none, and no crash.
    expect(await ovnMissing({ ovn_nb: ['unix:/dev/null/db.sock'] })).toContain('northbound')
    // mkdtemp(3) makes it the owner's alone.
    if (process.getuid?.() === 0) process.seteuid?.(65_534)
    try {
      expect(await ovnMissing({ ovn_nb: [`unix:${path}`], ovn_sb: ['tcp:[::1]:6642'] })).toBeNull()
    } finally {
      if (process.getuid?.() === 0) process.seteuid?.(0)
    }
  })
})
