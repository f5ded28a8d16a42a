import { openIpvs } from '../../kernel/netlink/ipvs.ts'
import type { Ipvs } from '../../kernel/netlink/ipvsEntries.ts'
import { asError, unusable } from './refusals.ts'

/** Null where IPVS can be used here; else why not, and what helps, in one sentence. */
export async function ipvsMissing(open: () => Promise<Ipvs> = openIpvs): Promise<string | null> {
  if (process.platform !== 'linux') {
    return `IPVS is a part of Linux, and this is ${process.platform}; choose the plane userspace`
  }
  try {
    const ipvs = await open()
    try {
      ipvs.info()
    } finally {
      ipvs.close()
    }
    return null
  } catch (error) {
    return unusable(asError(error))
  }
}
