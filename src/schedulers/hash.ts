/** The hash functions of sh, dh, lblc, lblcr and mh: 32-bit, no allocation, the same on every machine. */

/** 2^32 divided by the golden ratio, as in linux/include/linux/hash.h (Knuth, TAOCP 3, 6.4). */
const goldenRatio32 = 0x61c88647

/** Address bytes as one signed 32-bit word in network order; the four words of IPv6 are folded by XOR as IPVS does. */
export const foldAddress = (address: Uint8Array): number => {
  let word = 0
  for (let at = 0; at < address.length; at += 4) {
    word ^= (address[at]! << 24) | (address[at + 1]! << 16) | (address[at + 2]! << 8) | address[at + 3]!
  }
  return word
}

/** Multiplicative hash to the given number of bits: `hash_32` of linux/include/linux/hash.h. */
export const hash32 = (value: number, bits: number): number => Math.imul(value, goldenRatio32) >>> (32 - bits)

/** Finalizer of MurmurHash3_x86_32 (Austin Appleby, public domain): a bijection in which every bit moves every other. */
export const mix32 = (value: number): number => {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Offset basis of 32-bit FNV-1a (RFC 9923). */
export const fnvBasis = 0x811c9dc5

/** FNV-1a (RFC 9923) over the UTF-16 units of a text, finished by mix32; another basis makes an independent hash. */
export const hashText = (text: string, basis: number): number => {
  let h = basis
  for (let at = 0; at < text.length; at++) h = Math.imul(h ^ text.charCodeAt(at), 0x01000193)
  return mix32(h)
}
