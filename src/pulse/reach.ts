import { Socket } from 'node:net'
import { failure, noAnswer } from './reasons.ts'

/** Long enough for a SYN that is lost once (RFC 6298: it is sent again after 1 s). */
const patienceMs = 1500

/** Who has such an error was answered by the host. */
const answers = new Set(['ECONNREFUSED', 'ECONNRESET'])

/**
 * Whether checks from this host get to an address at all, whatever listens there.
 *
 * @returns null where they do, or where it cannot be found out; else a clause with the reason
 */
export function reach(address: string, port: number, timeoutMs = patienceMs): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = new Socket()
    const end = (reason: string | null): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(reason)
    }
    const timer = setTimeout(() => end(noAnswer(timeoutMs).reason), timeoutMs)
    socket.on('connect', () => end(null))
    socket.on('error', (error) => {
      const { up, reason } = failure(error)
      const { code = '' } = error as NodeJS.ErrnoException
      end(up === null || answers.has(code) ? null : reason)
    })
    socket.connect({ host: address, port })
  })
}
