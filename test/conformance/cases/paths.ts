import { expect } from 'vitest'
import type { Family } from '../../../src/model/address.ts'
import { canonicalAddress } from '../../../src/model/address.ts'
import type { Forwarding } from '../../../src/model/names.ts'
import type { Cases } from '../rig.ts'

/** Families, protocols and forwarding: what is sent arrives, and what comes back is right. */

const carries = (protocol: 'tcp' | 'udp', family: Family): Cases => ({
  [`answers come from the virtual address (${protocol}, IPv${family})`]: async (rig) => {
    const spec = await rig.serve({ protocol, family })
    for (const { from } of await rig.ask(spec))
      expect(from).toEqual({ address: spec.address, port: spec.port })
  },
})

const large = (family: Family): Cases => ({
  [`300 kB go through whole in both directions, several times on one connection (IPv${family})`]: async (
    rig,
  ) => {
    const spec = await rig.serve({ family })
    const answers = await rig.ask(spec, { count: 4, questions: 3, bytes: 300_000, concurrency: 2 })
    expect(answers).toHaveLength(12)
  },
  [`the PROXY protocol tells the backend who the client is (IPv${family})`]: async (rig) => {
    const spec = await rig.serve({ family, proxyProtocol: true })
    for (const { source, announced } of await rig.ask(spec))
      expect(canonicalAddress(announced ?? '')).toBe(source)
  },
})

const forwards = (forwarding: Forwarding): Cases => ({
  [`forwarding by ${forwarding} carries connections`]: async (rig) => {
    if (!rig.can.forwarding.has(forwarding))
      rig.skip(`the ${rig.can.name} plane cannot forward by ${forwarding}`)
    if (!rig.world.forwarding.has(forwarding)) {
      rig.skip(`the world ${rig.world.name} is not laid out for forwarding by ${forwarding}`)
    }
    const tunnel = forwarding === 'tunnel' ? ({ type: 'ipip', port: 0 } as const) : null
    const spec = await rig.serve({ each: { forwarding, tunnel } })
    expect(await rig.ask(spec)).toHaveLength(rig.sample)
  },
})

export const paths: Cases = {
  ...carries('tcp', 4),
  ...carries('udp', 4),
  ...carries('tcp', 6),
  ...carries('udp', 6),
  ...large(4),
  ...large(6),
  ...forwards('nat'),
  ...forwards('dr'),
  ...forwards('tunnel'),
  'TCP and UDP services share one address and port': async (rig) => {
    const tcp = await rig.serve({ protocol: 'tcp' })
    const udp = await rig.serve({ protocol: 'udp', address: tcp.address, port: tcp.port })
    await rig.ask(tcp)
    await rig.ask(udp)
  },
  'forty clients at once are all answered': async (rig) => {
    const spec = await rig.serve({ weights: [1, 1, 1] })
    expect(await rig.ask(spec, { count: 200, concurrency: 40 })).toHaveLength(200)
  },
}
