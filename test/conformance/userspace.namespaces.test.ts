import { it } from 'vitest'
import { namespacesMissing } from '../../lab/namespaces.ts'
import { userspaceCan } from '../../src/planes/userspace/can.ts'
import { RemotePlane } from './remotePlane.ts'
import { conformance } from './suite.ts'
import type { actor } from './userspace.actor.ts'
import { namespacesWorld } from './worlds/namespaces.ts'

const name = 'userspace in namespaces'
const missing = namespacesMissing()

if (missing === null) {
  conformance(name, namespacesWorld, async ({ director }) => {
    const host = await director.actor<typeof actor>(new URL('userspace.actor.ts', import.meta.url))
    return new RemotePlane(userspaceCan, host)
  })
} else {
  it(name, ({ skip }) => skip(missing))
}
