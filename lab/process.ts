import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { remote, type Channel, type Methods } from './channel.ts'

const entry = fileURLToPath(new URL('actor.ts', import.meta.url))

/**
 * Starts a process that serves a module's `actor` export, and returns those functions. It ends with this process.
 *
 * @param through a command that runs what follows it somewhere else, such as `ip netns exec NAME`
 * @param kept is given the process at once, so that whoever cleans up knows it
 */
export async function startActor<T extends Methods>(
  module: URL,
  through: readonly string[] = [],
  kept: (child: ChildProcess) => void = () => {},
): Promise<T> {
  const [execPath, ...execArgv] = [...through, process.execPath, '--disable-warning=ExperimentalWarning']
  const child = fork(entry, [fileURLToPath(module)], { execPath, execArgv, serialization: 'advanced' })
  kept(child)
  const channel: Channel = {
    send: (message) => void child.send(message as object),
    onMessage: (listener) => void child.on('message', listener),
    onClose: (listener) =>
      void child.once('exit', (code, signal) =>
        listener(`the actor ${module.pathname} ended (${signal ?? code})`),
      ),
  }
  const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown]
  if (first !== 'ready') throw new Error(`the actor ${module.pathname} did not start: its message is above`)
  return remote<T>(channel)
}
