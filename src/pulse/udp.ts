import { createSocket } from 'node:dgram'
import { isIP } from 'node:net'
import type { CheckResult, CheckSpec, Probe, Undecided } from './check.ts'
import { lookup } from './lookup.ts'
import { failure, up } from './reasons.ts'

/**
 * Down where an ICMP error comes back to an empty datagram; Up where anything else does, or nothing within the time: UDP
 * owes no answer. OVN's service monitor decides alike (ovn-nb(5), Load_Balancer_Health_Check).
 */
export const udp: Probe<Extract<CheckSpec, { kind: 'udp' }>> = ({ address, port, waitMs }, done) => {
  const family = isIP(address) === 6 ? 6 : 4
  const socket = createSocket({
    type: `udp${family}`,
    // dgram gives the family in the place of options, whatever its type says.
    lookup: (name, _family, answer) =>
      lookup(name, { family }, (error, found, its = family) =>
        answer(error, typeof found === 'string' ? found : '', its),
      ),
  })
  let timer: NodeJS.Timeout | undefined
  let over = false
  const close = (): boolean => {
    if (over) return false
    over = true
    clearTimeout(timer)
    socket.close()
    return true
  }
  const end = (result: CheckResult | Undecided): void => {
    if (close()) done(result)
  }
  socket.on('error', (error) => end(failure(error)))
  socket.on('message', () => end(up))
  socket.on('connect', () => {
    socket.send('', (error) => {
      if (error !== null) end(failure(error))
    })
    timer = setTimeout(() => end(up), waitMs)
  })
  try {
    socket.connect(port, address)
  } catch (error) {
    setImmediate(() => end(failure(error)))
  }
  return { cancel: () => void close() }
}
