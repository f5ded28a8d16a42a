import { flagBit } from '../model/names.ts'
import type { Capabilities, VirtualService } from './plane.ts'

/** One thing a service may ask of a plane: whether it asks, whether the plane can, and how to say it. */
interface Feature {
  /** What the service asks for, as the object of "cannot"; null where it does not ask. */
  asks(spec: VirtualService): string | null
  can(can: Capabilities, spec: VirtualService): boolean
  /** What helps besides another plane; null where nothing does. */
  cure?(can: Capabilities, spec: VirtualService): string | null
}

const features: readonly Feature[] = [
  {
    asks: (spec) => (spec.fwmark > 0 ? 'select by firewall mark (fwmark)' : null),
    can: (can) => can.fwmark,
  },
  { asks: (spec) => `balance ${spec.protocol}`, can: (can, spec) => can.protocols.has(spec.protocol) },
  { asks: (spec) => `balance IPv${spec.family}`, can: (can, spec) => can.families.has(spec.family) },
  {
    asks: (spec) => (spec.port === 'any' ? 'take any port ("port": "any")' : null),
    can: (can) => can.anyPort,
  },
  {
    asks: (spec) =>
      spec.port === 'any' && spec.persistence === null ? 'take any port without persistence' : null,
    can: (can) => can.anyPortWithoutPersistence,
  },
  {
    asks: (spec) => `schedule by ${spec.scheduler}`,
    can: (can, spec) => can.schedulers.has(spec.scheduler),
    cure: ({ schedulers, schedulerModules }, { scheduler }) =>
      schedulerModules === undefined
        ? `it has ${[...schedulers].join(', ')}`
        : `this kernel has ${[...schedulers].join(', ')}; load the other ("modprobe ${schedulerModules}${scheduler}") and restart Torb`,
  },
  {
    asks: (spec) =>
      spec.protocol === 'http' && (spec.flags & flagBit.onePacket) !== 0
        ? 'schedule each datagram of an http service anew (flag one-packet)'
        : null,
    can: () => false,
    cure: () => 'leave the flag out: each request is scheduled anew',
  },
  ...Object.entries({
    [flagBit.fallback]: 'use the flag sh-fallback, mh-fallback or flag-1',
    [flagBit.port]: 'use the flag sh-port, mh-port or flag-2',
    [flagBit.third]: 'use the flag flag-3',
    [flagBit.onePacket]: 'schedule each datagram anew (flag one-packet)',
    [flagBit.hashed]: 'use the flag hashed',
  }).map(([bit, text]): Feature => ({
    asks: (spec) => ((spec.flags & Number(bit)) !== 0 ? text : null),
    can: (can) => (can.flags & Number(bit)) !== 0,
  })),
  {
    asks: (spec) => (spec.persistence === null ? null : 'keep clients on a backend (persistence)'),
    can: (can) => can.persistence,
  },
  {
    asks: (spec) => (spec.proxyProtocol ? 'send the PROXY protocol (proxy_protocol)' : null),
    // It announces a connection; UDP has none, and those to backends of http are shared by clients.
    can: (can, spec) => can.proxyProtocol && spec.protocol === 'tcp',
    cure: (_, spec) => (spec.protocol === 'http' ? 'http tells backends by X-Forwarded-For' : null),
  },
  {
    asks: (spec) => (spec.attach === null ? null : 'attach to switches, routers or groups (attach)'),
    can: (can) => can.attach,
  },
  {
    asks: (spec) => (spec.ovn === null ? null : 'use options of a virtual network (ovn)'),
    can: (can) => can.name === 'ovn',
  },
  ...(['nat', 'dr', 'tunnel'] as const).map((forwarding): Feature => ({
    asks: (spec) =>
      spec.destinations.some((d) => d.forwarding === forwarding)
        ? `forward by ${forwarding} (method of a backend)`
        : null,
    can: (can) => can.forwarding.has(forwarding),
  })),
  ...(['ipip', 'gue', 'gre'] as const).map((type): Feature => ({
    asks: (spec) => (spec.destinations.some((d) => d.tunnel?.type === type) ? `tunnel by ${type}` : null),
    can: (can) => can.tunnels.has(type),
  })),
  {
    asks: (spec) =>
      spec.destinations.some((d) => d.maxConnections > 0)
        ? 'limit connections (limits.max_connections)'
        : null,
    can: (can) => can.maxConnections,
  },
  {
    asks: (spec) =>
      spec.destinations.some((d) => d.upperThreshold > 0)
        ? 'limit connections (limits.upper_threshold)'
        : null,
    can: (can) => can.thresholds,
  },
]

/**
 * The first thing of a service that a plane cannot do, as a sentence, or null where it can do all.
 *
 * @param others further planes of this build, of which one that can do all is named
 */
export function unsupported(
  can: Capabilities,
  spec: VirtualService,
  others: readonly Capabilities[] = [],
): string | null {
  for (const feature of features) {
    const asked = feature.asks(spec)
    if (asked === null || feature.can(can, spec)) continue
    const able = others
      .filter((other) => other !== can && unsupported(other, spec) === null)
      .map((other) => other.name)
    const cure = feature.cure?.(can, spec) ?? null
    return [
      `the ${can.name} plane cannot ${asked}`,
      ...(cure === null ? [] : [cure]),
      ...(able.length > 0 ? [`the ${able.join(' and the ')} plane can`] : []),
    ].join('; ')
  }
  return null
}
