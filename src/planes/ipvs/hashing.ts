import { addressBytes } from '../../model/address.ts'
import { flagBit } from '../../model/names.ts'
import { foldAddress, hash32 } from '../../schedulers/hash.ts'
import type { Flow, VirtualService } from '../plane.ts'

/** A destination as a hash sees it. */
export interface Candidate {
  readonly weight: number
  /** Over its upper threshold. */
  readonly overloaded: boolean
}

const bits = 8
const slotCount = 1 << bits

/**
 * Where the kernel's sh or dh sends a flow (net/netfilter/ipvs/ip_vs_sh.c, ip_vs_dh.c).
 *
 * @param candidates in the kernel's order, newest first
 * @returns the index of the candidate, or -1 where the kernel refuses
 */
export function hashed(
  { scheduler, flags }: Pick<VirtualService, 'flags'> & { readonly scheduler: 'sh' | 'dh' },
  candidates: readonly Candidate[],
  { source, sourcePort, destination }: Flow,
): number {
  if (candidates.length === 0) return -1
  const slots = scheduler === 'sh' ? slotsByWeight(candidates) : slotsInTurn(candidates)
  const usable = (slot: number): number => {
    const index = slots[slot % slotCount] ?? -1
    const candidate = candidates[index]
    return candidate !== undefined && candidate.weight > 0 && !candidate.overloaded ? index : -1
  }
  if (scheduler === 'dh') return usable(hash32(foldAddress(addressBytes(destination)), bits))
  const port = (flags & flagBit.port) === 0 ? 0 : sourcePort
  const home = hash32(foldAddress(addressBytes(source)) + port, bits)
  const chosen = usable(home)
  if (chosen >= 0 || (flags & flagBit.fallback) === 0) return chosen
  // The kernel adds the home slot to an offset that has it already (ip_vs_sh_get_fallback).
  for (let step = 0; step < slotCount; step++) {
    const other = usable(2 * home + step)
    if (other >= 0) return other
  }
  return -1
}

/** Each takes as many slots in a row as its weight, at least one, over and over: above a sum of 256 the last get none. */
function slotsByWeight(candidates: readonly Candidate[]): Uint16Array {
  const slots = new Uint16Array(slotCount)
  let index = 0
  let taken = 0
  for (let slot = 0; slot < slotCount; slot++) {
    slots[slot] = index
    if (++taken < (candidates[index]?.weight ?? 0)) continue
    index = (index + 1) % candidates.length
    taken = 0
  }
  return slots
}

const slotsInTurn = (candidates: readonly Candidate[]): Uint16Array =>
  Uint16Array.from({ length: slotCount }, (_, slot) => slot % candidates.length)
