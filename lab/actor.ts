import { flushCompileCache } from 'node:module'
import { pathToFileURL } from 'node:url'
import { serve, type Channel, type Methods } from './channel.ts'

/**
 * Entry of a process that stands somewhere else (in a network namespace): serves the `actor` export of the module
 * named by its argument to the process that started it, and ends with it.
 */
const [module] = process.argv.slice(2)
if (module === undefined || process.send === undefined)
  throw new Error('usage: by fork, with a module that exports actor')

const channel: Channel = {
  send: (message) => void process.send?.(message),
  onMessage: (listener) => void process.on('message', listener),
  onClose: (listener) => void process.once('disconnect', () => listener('disconnected')),
}
channel.onClose(() => process.exit(0))
const { actor } = (await import(pathToFileURL(module).href)) as { actor: Methods }
serve(actor, channel)
channel.send('ready')
// Its end may be a SIGKILL, and then nothing would be kept.
flushCompileCache()
