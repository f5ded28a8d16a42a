import { umlMissing } from '../../../lab/uml/install.ts'
import type { Show } from '../show.ts'
import { counted, done, inIpvsKernel } from './guest.ts'
import { until } from '../../../lab/until.ts'

const data = '/run/torb-scale'
const file = '/run/torb-scale.json'

/** 1,000 services of ten backends in the kernel, and how much it takes to change one weight among them. */
export const ipvsScale: Show = {
  about: 'ipvs: 1,000 services x 10 backends are programmed within 3 s; one weight changed is one message',
  missing: umlMissing,
  inOtherKernel: true,
  run: async (size) =>
    await inIpvsKernel(async (guest) => {
      const count = size === 'full' ? 1000 : 100
      await guest.write(file, '{"services": {}}')
      await guest.serve(['--plane', 'ipvs', '--data', data, '-i', 'lo', '--config', file])
      await guest.write(file, JSON.stringify({ services: services(count) }))
      await guest.trace()
      await guest.span()
      await guest.signal('SIGHUP')
      const all: Record<string, number> = {}
      const took = await until(async () => {
        for (const [key, number] of Object.entries(await guest.traced())) all[key] = (all[key] ?? 0) + number
        return counted(all, 'addDestination') >= count * 10
      }, `${count} services`)
      const programmed = await guest.span()
      const listed = (await guest.ipvsadm(['-Sn'])).split('\n').filter((line) => line !== '').length
      if (listed !== count * 11) throw new Error(`ipvsadm lists ${listed} lines instead of ${count * 11}`)
      if (counted(all, 'addService') !== count || counted(all, 'addDestination') !== count * 10)
        throw new Error(`not each was added once: ${JSON.stringify(all)}`)
      if (size === 'full' && programmed > 3000)
        throw new Error(`programming took ${Math.round(programmed)} ms`)
      await done(guest, 'PATCH', '/service/s7/b3', { weight: 42 })
      const one = await guest.traced()
      const changes = counted(
        one,
        'addService',
        'setService',
        'deleteService',
        'addDestination',
        'setDestination',
        'deleteDestination',
        'flush',
      )
      if (changes !== 1 || counted(one, 'setDestination') !== 1)
        throw new Error(`one weight took other messages than one SET_DEST: ${JSON.stringify(one)}`)
      return {
        'services x backends': `${count} x 10`,
        'first to last message of programming (ms, in UML)': Math.round(programmed),
        'SIGHUP to the last message: file, store, kernel (ms, in UML)': Math.round(took),
        'messages for one weight': changes,
      }
    }),
}

/** One file, since REST would measure the sockets of this kernel. */
function services(count: number): Record<string, object> {
  const pulse = { type: 'none' }
  const backends = Array.from({ length: 10 }, (_, n) => [
    `b${n}`,
    { host: `10.2.9.${n + 1}`, port: 80, weight: 10, pulse },
  ])
  return Object.fromEntries(
    Array.from({ length: count }, (_, n) => [
      `s${n}`,
      { host: `10.3.${n >> 8}.${n & 255}`, port: 80, method: 'wlc', backends: Object.fromEntries(backends) },
    ]),
  )
}
