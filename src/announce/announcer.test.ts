import { expect, it } from 'vitest'
import { EventLog } from '../control/events.ts'
import type { ServiceView } from '../control/control.ts'
import { followServices } from './announcer.ts'

const view = (id: string, address: string, port: number | 'any'): ServiceView => ({
  id,
  address,
  options: {
    host: address,
    port,
    protocol: 'tcp',
    method: 'wrr',
    flags: '',
    persistent: false,
    fallback: 'fb-default',
  },
  owner: 'rest',
  plane: 'userspace',
  health: 0,
  backends: [],
  reconcile: { state: 'applied', message: '', since: 1 },
  advice: [],
})

it('the services to announce are those of control, from its events', () => {
  const events = new EventLog()
  const views = new Map([
    ['a', view('a', '10.0.0.1', 80)],
    ['mark', view('mark', '', 0)],
  ])
  let changes = 0
  const followed = followServices(
    { events, serviceIds: () => [...views.keys()], service: (id) => views.get(id) ?? null },
    () => changes++,
  )
  const record = (type: 'service-created' | 'service-changed' | 'service-deleted', service: string): void =>
    events.record({ at: 0, type, service, source: 'rest' })
  expect([...followed.services.keys()]).toEqual(['a'])

  views.set('b', view('b', '10.0.0.2', 'any'))
  record('service-created', 'b')
  expect([followed.services.get('b'), changes]).toEqual([{ id: 'b', address: '10.0.0.2', port: 0 }, 1])

  // A change of what is not announced is none.
  record('service-changed', 'a')
  events.record({ at: 0, type: 'backend-down', service: 'a', backend: 'x', reason: '' })
  expect(changes).toBe(1)

  views.delete('a')
  record('service-deleted', 'a')
  expect([[...followed.services.keys()], changes]).toEqual([['b'], 2])

  followed.close()
  views.delete('b')
  record('service-deleted', 'b')
  expect([[...followed.services.keys()], changes]).toEqual([['b'], 2])
})
