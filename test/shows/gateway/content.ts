import { createHash } from 'node:crypto'
import { seeded } from '../../rig.ts'

const cached = new Map<number, Buffer>()

/** The content that stands for a size: bytes that differ from place to place and from size to size. */
export function contentOf(size: number): Buffer {
  const known = cached.get(size)
  if (known !== undefined) return known
  const random = seeded(size)
  const content = Buffer.alloc(size)
  for (let at = 0; at < size; at++) content[at] = Math.floor(random() * 256)
  cached.set(size, content)
  return content
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
