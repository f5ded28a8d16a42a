import { umlMissing } from '../../../lab/uml/install.ts'
import type { Show } from '../show.ts'
import { counted, done, inIpvsKernel } from './guest.ts'

/** kill -9 of Torb under open connections and a client loop: the kernel goes on, and the restart takes nothing away. */
export const ipvsKills: Show = {
  about:
    'ipvs: kill -9 under 100 open connections and a client loop: none fails, none is reset, the restart deletes nothing',
  missing: umlMissing,
  inOtherKernel: true,
  run: async (size) =>
    await inIpvsKernel(async (guest) => {
      const [rounds, concurrency] = size === 'full' ? [10, 4] : [1, 1]
      const args = ['--plane', 'ipvs', '--data', '/run/torb-kills', '-i', 'lo']
      const to = await guest.vip()
      const from = await guest.clients()
      await guest.serve(args)
      await done(guest, 'PUT', '/service/web', { host: to.address, port: to.port, method: 'rr' })
      for (const { name, address, port } of await guest.backends())
        await done(guest, 'PUT', `/service/web/${name}`, {
          host: address,
          port,
          pulse: { type: 'tcp', interval: '1s' },
        })
      const traffic = { protocol: 'tcp' as const, from, to }
      const { held, failures } = await guest.hold({ ...traffic, count: 100, concurrency: 4 })
      if (failures.length > 0)
        throw new Error(`connections could not be opened: ${failures.slice(0, 3).join('; ')}`)
      const loop = await guest.start({ ...traffic, count: 1, concurrency })
      await guest.trace()
      const restarts: number[] = []
      for (let round = 0; round < rounds; round++) {
        await guest.end('SIGKILL')
        restarts.push(await guest.serve(args))
      }
      const trace = await guest.traced()
      const answering = await guest.answering(held.map(({ id }) => id))
      const report = await guest.stop(loop)
      const lost = held.filter(({ backend }, index) => answering[index] !== backend).length
      const deletions = counted(trace, 'deleteService', 'deleteDestination', 'flush')
      const changes = counted(trace, 'setService', 'addDestination', 'setDestination')
      if (lost > 0) throw new Error(`${lost} of ${held.length} connections are dead`)
      if (report.failures.length > 0)
        throw new Error(
          `${report.failures.length} requests failed: ${report.failures.slice(0, 3).join('; ')}`,
        )
      if (deletions + changes > 0)
        throw new Error(`the restarts changed the kernel: ${JSON.stringify(trace)}`)
      return {
        'kill -9': rounds,
        'open connections, lost': `${held.length}, ${lost}`,
        'requests during kills, failed': `${report.answers.length}, 0`,
        'changes sent to the kernel, deletions among them': `${changes + deletions}, ${deletions}`,
        'restart to ready, slowest (ms, in UML)': Math.round(Math.max(...restarts)),
      }
    }),
}
