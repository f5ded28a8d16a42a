import type { Capabilities } from '../../src/planes/plane.ts'

type SetsAsLists<T> = { readonly [K in keyof T]: T[K] extends ReadonlySet<infer V> ? readonly V[] : T[K] }

/** Capabilities as JSON carries them. */
export type WireCapabilities = SetsAsLists<Capabilities>

export const toWire = (can: Capabilities): WireCapabilities => ({
  ...can,
  schedulers: [...can.schedulers],
  checks: [...can.checks],
  forwarding: [...can.forwarding],
  tunnels: [...can.tunnels],
  protocols: [...can.protocols],
  families: [...can.families],
})

export const fromWire = (can: WireCapabilities): Capabilities => ({
  ...can,
  schedulers: new Set(can.schedulers),
  checks: new Set(can.checks),
  forwarding: new Set(can.forwarding),
  tunnels: new Set(can.tunnels),
  protocols: new Set(can.protocols),
  families: new Set(can.families),
})
