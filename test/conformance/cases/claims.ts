import { expect } from 'vitest'
import {
  flagNames,
  forwardingNames,
  protocolNames,
  schedulerNames,
  tunnelTypes,
} from '../../../src/model/names.ts'
import { unsupported } from '../../../src/planes/can.ts'
import type { Capabilities } from '../../../src/planes/plane.ts'
import type { Cases, Wish } from '../rig.ts'

/** `can` is true: the plane takes and holds whatever it claims, and whatever it does not claim is refused with a sentence. */

interface Claim {
  readonly wish: Wish
  readonly claimed: (can: Capabilities) => boolean
}

const claim = (claimed: Claim['claimed'], wish: Wish): Claim => ({ claimed, wish })

const claimsByName: Readonly<Record<string, Claim>> = {
  ...Object.fromEntries(
    schedulerNames.map((scheduler) => [
      `scheduler ${scheduler}`,
      claim((can) => can.schedulers.has(scheduler), { scheduler }),
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(flagNames).map(([name, flags]) => [
      `flag ${name}`,
      claim((can) => (can.flags & flags) !== 0, { flags, ...schedulerFor(name), ...protocolFor(name) }),
    ]),
  ),
  ...Object.fromEntries(
    protocolNames.map((protocol) => [
      `protocol ${protocol}`,
      claim((can) => can.protocols.has(protocol), { protocol }),
    ]),
  ),
  ...Object.fromEntries(
    ([4, 6] as const).map((family) => [
      `family IPv${family}`,
      claim((can) => can.families.has(family), { family }),
    ]),
  ),
  ...Object.fromEntries(
    forwardingNames
      .filter((forwarding) => forwarding !== 'tunnel')
      .map((forwarding) => [
        `forwarding ${forwarding}`,
        claim((can) => can.forwarding.has(forwarding), { each: { forwarding } }),
      ]),
  ),
  ...Object.fromEntries(
    tunnelTypes.map((type) => [
      `tunnel ${type}`,
      claim((can) => can.forwarding.has('tunnel') && can.tunnels.has(type), {
        each: { forwarding: 'tunnel', tunnel: { type, port: type === 'gue' ? 6080 : 0 } },
      }),
    ]),
  ),
  'any port': claim((can) => can.anyPort, {
    port: 'any',
    each: { port: 0 },
    persistence: { timeout: 300, prefix: 32 },
  }),
  fwmark: claim((can) => can.fwmark, { fwmark: 77, address: '', port: 0 }),
  persistence: claim((can) => can.persistence, { persistence: { timeout: 600, prefix: 24 } }),
  'persistence IPv6': claim((can) => can.persistence && can.families.has(6), {
    family: 6,
    persistence: { timeout: 600, prefix: 64 },
  }),
  'PROXY protocol': claim((can) => can.proxyProtocol, { proxyProtocol: true }),
  max_connections: claim((can) => can.maxConnections, { each: { maxConnections: 10 } }),
  thresholds: claim((can) => can.thresholds, { each: { upperThreshold: 10, lowerThreshold: 5 } }),
  'weight 0': claim(() => true, { weights: [0, 1] }),
}

/** Flags that belong to a scheduler are tried with it. */
function schedulerFor(flag: string): Wish {
  const scheduler = (['sh', 'mh'] as const).find((name) => flag.startsWith(`${name}-`))
  return scheduler === undefined ? {} : { scheduler }
}

function protocolFor(flag: string): Wish {
  return flag === 'one-packet' ? { protocol: 'udp' } : {}
}

const holds = ([name, { wish, claimed }]: readonly [string, Claim]): Cases => ({
  [`takes and holds: ${name}`]: async (rig) => {
    // A wish that stands on other claims too (a flag on its scheduler) is skipped in `serve` by the first that is missing.
    const spec = await rig.serve(wish)
    expect(claimed(rig.can)).toBe(true)
    await rig.holds(spec)
  },
})

export const claims: Cases = {
  ...Object.assign({}, ...Object.entries(claimsByName).map(holds)),
  'what is not claimed is refused by a sentence that names the plane': async (rig) => {
    const template = await rig.spec()
    for (const [name, { wish, claimed }] of Object.entries(claimsByName)) {
      if (claimed(rig.can)) continue
      const { weights: _, each = {}, ...fields } = wish
      const destinations = template.destinations.map((destination) => ({ ...destination, ...each }))
      const reason = unsupported(rig.can, { ...template, ...fields, destinations })
      expect(reason, name).toContain(`the ${rig.can.name} plane cannot`)
    }
  },
}
