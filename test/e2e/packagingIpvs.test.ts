import { fileURLToPath } from 'node:url'
import { mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Methods } from '../../lab/channel.ts'
import { umlMissing } from '../../lab/uml/install.ts'
import { bootUml, type Uml } from '../../lab/uml/uml.ts'
import { capabilityMask, setprivArguments, unitFile, unitWords } from '../fixtures/unit.ts'

const missing = umlMissing()
if (missing !== null) console.log(`skipped: the unit on the ipvs plane: ${missing}`)

const torb = fileURLToPath(new URL('../../bin/torb', import.meta.url))
const services = {
  web: {
    host: '127.0.0.1',
    port: 80,
    method: 'wrr',
    backends: { one: { host: '127.0.0.2', port: 8080, weight: 30, pulse: { type: 'none' } } },
  },
}

/** Nobody of the host has it: what this user may do, its capabilities let it. */
const user = { uid: '4711', gid: '4711' }
const options = '--plane ipvs --data /run/torb -l 127.0.0.1:4672 -i lo'

describe.skipIf(missing !== null)(
  "the unit's user and capabilities, on the ipvs plane of a real kernel",
  () => {
    const stop = new AsyncDisposableStack()
    let uml: Uml<Methods>
    let shared = ''
    const sh = async (line: string): Promise<string> => {
      const { status, stdout, stderr } = await uml.guest.run('sh', ['-c', line])
      if (status !== 0) throw new Error(`${line}: ${status}: ${stderr}${stdout}`)
      return stdout
    }
    const start = (argument: readonly string[], name: string): string =>
      `setpriv ${argument.join(' ')} ${torb} serve ${options} >/run/${name}.out 2>/run/${name}.err & echo $! >/run/${name}.pid`

    beforeAll(async () => {
      const place = stop.use(mkdtempDisposableSync(join(tmpdir(), 'torb-unittest-')))
      shared = place.path
      writeFileSync(join(shared, 'services.json'), JSON.stringify({ services }))
      uml = await bootUml({
        // As modprobe@ip_vs.service does it; the schedulers come by themselves.
        modules: ['ip_vs'],
        autoload: true,
        shared,
        setup: [`bb mkdir -m 700 /run/torb`, `bb chown ${user.uid}:${user.gid} /run/torb`],
        limitMs: 240_000,
      })
      stop.use(uml)
      await sh(start(setprivArguments(user), 'torb'))
      await sh(
        'while ! grep -q "^torb ready" /run/torb.out; do kill -0 $(cat /run/torb.pid) || { cat /run/torb.err >&2; exit 1; }; sleep 0.2; done',
      )
    })
    afterAll(async () => {
      await stop.disposeAsync()
    })

    it('is another user, with exactly those capabilities', async () => {
      const status = await sh('cat /proc/$(cat /run/torb.pid)/status')
      const field = (name: string): string | undefined =>
        new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1]
      const ambient = capabilityMask(unitWords('AmbientCapabilities'))
      expect(['CapEff', 'CapPrm', 'CapInh', 'CapAmb'].map(field)).toEqual(Array(4).fill(ambient))
      expect(field('CapBnd')).toBe(capabilityMask(unitWords('CapabilityBoundingSet')))
      expect([field('Uid'), field('Gid'), field('NoNewPrivs')]).toEqual([user.uid, user.gid, '1'])
    })

    it('programs the kernel, has it load schedulers, and sets its settings', async () => {
      expect(await sh('cat /run/torb.out')).toMatch(/^torb ready http:\S+ plane=ipvs\n$/)
      await sh(`${torb} apply /run/host/services.json`)
      expect(await sh('cat /proc/net/ip_vs')).toMatch(
        /^TCP {2}7F000001:0050 wrr.*\n {2}-> 7F000002:1F90 +Masq +30 /m,
      )
      expect(await sh('cat /proc/modules')).toMatch(/^ip_vs_wrr /m)
      expect(await sh('cat /proc/sys/net/ipv4/vs/expire_nodest_conn')).toBe('1\n')
      expect(await sh('cat /run/torb.err')).not.toMatch(/could not be set|EPERM|EACCES/)
    })

    it('is what doctor says of it', async () => {
      // Findings of low privilege or few descriptors make it exit with 1.
      const said = await sh(`setpriv ${setprivArguments(user).join(' ')} ${torb} doctor --json || true`)
      const { facts, findings } = JSON.parse(said) as {
        facts: object
        findings: { subject: string; level: string; fact: string }[]
      }
      expect(facts).toMatchObject({
        uid: Number(user.uid),
        ipvs: 'loaded',
        planes: [
          { name: 'ipvs', missing: null },
          { name: 'userspace', missing: null },
          // Only where it is asked for by name.
          { name: 'ovn', missing: expect.stringContaining('no northbound database') },
        ],
      })
      const found = (subject: string) => findings.find((finding) => finding.subject === subject)
      expect(found('plane')?.fact).toBe('"torb serve" takes ipvs')
      expect([found('ipvs')?.level, found('low ports')?.level]).toEqual(['ok', 'ok'])
    })

    it('reads its file again and ends in order as the unit says; the kernel goes on', async () => {
      const reload = /^ExecReload=\/bin\/sh -c "(.*)"$/m.exec(readFileSync(unitFile, 'utf8'))?.[1] ?? ''
      expect(reload).toContain('$MAINPID')
      await sh(`MAINPID=$(cat /run/torb.pid); ${reload}`)
      await sh('while ! grep -q SIGHUP /run/torb.err; do sleep 0.2; done')
      await sh(
        'kill -TERM $(cat /run/torb.pid); while kill -0 $(cat /run/torb.pid) 2>/dev/null; do sleep 0.2; done',
      )
      expect(await sh('cat /proc/net/ip_vs')).toContain('7F000001:0050 wrr')
    })

    it('is refused with the cure where CAP_NET_ADMIN is taken away', async () => {
      const less = setprivArguments(user).map((argument) => argument.replace(',+net_admin', ''))
      await sh(start(less, 'less'))
      await sh('while kill -0 $(cat /run/less.pid) 2>/dev/null; do sleep 0.2; done')
      expect(await sh('cat /run/less.err')).toMatch(/CAP_NET_ADMIN.*AmbientCapabilities/)
      expect(await sh('cat /run/less.out')).toBe('')
    })
  },
)
