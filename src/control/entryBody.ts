import { flagsText } from '../model/service.ts'
import type { VirtualService } from '../planes/plane.ts'

/** An entry that somebody else made, as the body of a PUT that would make it. */
export function entryBody(entry: VirtualService) {
  const { address, port, protocol, fwmark, scheduler, flags, persistence, attach, ovn } = entry
  return {
    ...(fwmark === 0 ? { host: address, port, protocol } : { fwmark }),
    method: scheduler,
    flags: flagsText(flags, scheduler),
    ...(persistence === null
      ? {}
      : { persistence: { timeout: persistence.timeout, netmask: persistence.prefix } }),
    ...(attach === null
      ? {}
      : {
          attach: {
            switches: [...attach.switches],
            routers: [...attach.routers],
            groups: [...attach.groups],
          },
        }),
    ...(ovn === null ? {} : { ovn }),
  }
}
