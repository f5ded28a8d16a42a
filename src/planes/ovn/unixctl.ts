import { readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { ProtocolError, Splitter } from './ovsdb/framing.ts'

/** A daemon of Open vSwitch could not be asked, or refused; `message` is one sentence with cause and cure. */
export class UnixctlError extends Error {
  override readonly name = 'UnixctlError'
}

const causes: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket: correct the path, or start it',
  ECONNREFUSED: 'nobody listens there: start it, and give its new socket or its run directory',
  EACCES: 'permission is denied: run Torb as a user who may write to it',
}

/**
 * Runs a command of a daemon of Open vSwitch, as ovs-appctl(8) does.
 *
 * @param path its control socket, or its run directory: there its pid file tells which socket is its own
 * @returns what it prints
 * @throws UnixctlError
 */
export async function unixctl(
  path: string,
  daemon: string,
  command: string,
  params: readonly string[],
  limitMs: number,
): Promise<string> {
  return await new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer)
      socket?.destroy()
      reject(new UnixctlError(`${daemon} at ${path} cannot be asked: ${why}`))
    }
    const file = controlSocket(path, daemon)
    const socket = file === null ? null : connect(file)
    const timer = setTimeout(() => fail(`it does not answer within ${limitMs / 1000} s`), limitMs)
    if (socket === null) {
      fail(`there is no ${daemon}.pid: give its control socket or its run directory, or start it`)
      return
    }
    const splitter = new Splitter()
    socket.on('error', (error: NodeJS.ErrnoException) => fail(causes[error.code ?? ''] ?? error.message))
    socket.on('close', () => fail('it closed the connection'))
    socket.on('data', (bytes: Buffer) => {
      try {
        const [text] = splitter.push(bytes)
        if (text === undefined) return
        const { result, error } = JSON.parse(text) as { result?: unknown; error?: unknown }
        if (typeof result === 'string') {
          clearTimeout(timer)
          resolve(result)
          socket.destroy()
        } else fail(`it refused ${command}: ${typeof error === 'string' ? error.trim() : text}`)
      } catch (error) {
        if (!(error instanceof ProtocolError || error instanceof SyntaxError)) throw error
        fail(`it does not speak unixctl's protocol: ${error.message}`)
      }
    })
    socket.write(JSON.stringify({ id: 0, method: command, params }))
  })
}

/** The socket itself, whose name has the daemon's process id (ovs-vswitchd(8)). */
function controlSocket(path: string, daemon: string): string | null {
  if (path === '') return null
  try {
    if (!statSync(path).isDirectory()) return path
    return join(path, `${daemon}.${readFileSync(join(path, `${daemon}.pid`), 'utf8').trim()}.ctl`)
  } catch (error) {
    return (error as NodeJS.ErrnoException).path === path ? path : null
  }
}
