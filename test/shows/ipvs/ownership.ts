import { umlMissing } from '../../../lab/uml/install.ts'
import type { Show } from '../show.ts'
import { done, inIpvsKernel, type IpvsGuest } from './guest.ts'
import { until } from '../../../lab/until.ts'

const data = '/run/torb-ownership'
const args = (plane: string): string[] => ['--plane', plane, '--data', data, '-i', 'lo']
const stranger = ['-A -t 10.3.200.1:80 -s rr', '-a -t 10.3.200.1:80 -r 10.2.1.1:9000 -m -w 7']

/** What is Torb's own is known and kept so, whatever happens; what is another's stays as it is. */
export const ipvsOwnership: Show = {
  about:
    'ipvs: changes behind Torb are repaired within 2 s; a crash leaves no orphan; another plane withdraws; strangers stay',
  missing: umlMissing,
  inOtherKernel: true,
  run: async () =>
    await inIpvsKernel(async (guest) => {
      for (const line of stranger) await guest.ipvsadm(line.split(' '))
      await guest.serve(args('ipvs'))
      for (const n of [1, 2, 3]) {
        await done(guest, 'PUT', `/service/s${n}`, { host: `10.3.0.${n}`, port: 80, method: 'wrr' })
        for (const { name, address, port } of await guest.backends())
          await done(guest, 'PUT', `/service/s${n}/${name}`, {
            host: address,
            port,
            weight: n,
            pulse: { type: 'none' },
          })
      }
      const whole = await rules(guest)
      const repairs = []
      for (const line of [
        '-e -t 10.3.0.1:80 -r 10.2.1.1:9000 -m -w 99',
        '-d -t 10.3.0.2:80 -r 10.2.1.2:9000',
        '-a -t 10.3.0.3:80 -r 10.2.1.9:9000 -m -w 1',
        '-E -t 10.3.0.1:80 -s lc',
        '-D -t 10.3.0.2:80',
        '-C',
      ]) {
        await guest.ipvsadm(line.split(' '))
        // What ipvsadm -C took of the stranger is not Torb's to bring back.
        const expected = line === '-C' ? whole.filter((rule) => !stranger.includes(rule)) : whole
        repairs.push(
          await until(
            async () => same(await rules(guest), expected),
            `the repair of ipvsadm ${line}`,
            10_000,
          ),
        )
      }
      for (const line of stranger) await guest.ipvsadm(line.split(' '))

      // A crash behind the durable delete: the records are gone, the kernel still has the service.
      await guest.end('SIGKILL')
      const backends = (await guest.backends()).map(
        ({ name }) => ['backend', JSON.stringify(['s1', name])] as const,
      )
      await guest.forget(data, [['service', 's1'], ...backends])
      await guest.serve(args('ipvs'))
      const orphans = (await rules(guest)).filter((rule) => rule.includes('10.3.0.1:80'))
      if (orphans.length > 0) throw new Error(`an orphan is left: ${orphans.join('; ')}`)

      const planes = (await done(guest, 'GET', '/plane')) as {
        planes: { name: string; foreign: { backends: object[] }[] }[]
      }
      const foreign = planes.planes.find(({ name }) => name === 'ipvs')?.foreign ?? []
      if (foreign.length !== 1 || foreign[0]?.backends.length !== 1)
        throw new Error(`GET /plane shows as foreign: ${JSON.stringify(foreign)}`)

      await guest.end('SIGTERM')
      await guest.serve(args('userspace'))
      const left = await rules(guest)
      if (!same(left, stranger)) throw new Error(`another plane leaves in the kernel: ${left.join('; ')}`)
      const to = { address: '10.3.0.2', port: 80 }
      const report = await guest.exchange({ protocol: 'tcp', from: await guest.clients(), to, count: 16 })
      if (report.failures.length > 0)
        throw new Error(`the userspace plane does not carry: ${report.failures[0]}`)
      await guest.end('SIGTERM')
      return {
        'changes behind Torb, repaired': `${repairs.length}, ${repairs.length}`,
        'slowest repair (ms)': Math.round(Math.max(...repairs)),
        'orphans after a crash behind a durable delete': orphans.length,
        'own entries after --plane userspace': 0,
        'entries of others, kept': `${stranger.length}, ${stranger.length}`,
      }
    }),
}

const rules = async (guest: IpvsGuest): Promise<string[]> =>
  (await guest.ipvsadm(['-Sn'])).split('\n').filter((line) => line !== '')

const same = (a: readonly string[], b: readonly string[]): boolean =>
  [...a].sort().join('\n') === [...b].sort().join('\n')
