import { resolve } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import type { Database } from './database.ts'
import { openDirectory, type Opened } from './directory.ts'
import { isFull } from './faults.ts'
import { faultOf, packRows, type Fault, type Reply, type Request } from './protocol.ts'
import type { Row } from './store.ts'

/** The thread of a store: an fsync stalls this one and not the event loop. */
function serve(
  dir: string,
  reply: (reply: Reply) => void,
  onRequest: (handler: (request: Request) => void) => void,
): void {
  let opened: Opened
  try {
    opened = openDirectory(dir)
  } catch (error) {
    return reply({ op: 'failed', fault: faultOf(error, false) })
  }
  const { database, unlock } = opened
  reply({ op: 'open' })
  onRequest((request) => {
    try {
      if (request.op === 'load') {
        reply({ op: 'load', parts: [...packRows(database.rows(request.bucket))] })
      } else if (request.op === 'commit') {
        reply({ op: 'commit', faults: commitTogether(database, dir, request.commits) })
      } else {
        database.close()
        unlock()
        reply({ op: 'close' })
      }
    } catch (error) {
      reply({ op: 'failed', fault: faultOf(error, isFull(error, dir)) })
    }
  })
}

/** One transaction for all; where that fails, one for each, so that no commit fails for its neighbour's size. */
function commitTogether(
  database: Database,
  dir: string,
  commits: readonly (readonly Row[])[],
): (Fault | null)[] {
  try {
    database.commit(commits.flat())
    return commits.map(() => null)
  } catch (error) {
    if (commits.length === 1) return [commitFault(error, dir)]
  }
  return commits.map((rows) => {
    try {
      database.commit(rows)
      return null
    } catch (error) {
      return commitFault(error, dir)
    }
  })
}

function commitFault(error: unknown, dir: string): Fault {
  const { kind, message } = faultOf(error, isFull(error, dir))
  return kind === 'full'
    ? { kind, message: `the disk of ${dir} is full, so nothing was changed: make room and try again` }
    : {
        kind,
        message: `the store in ${dir} cannot be written (${message}), so nothing was changed: check its disk, then restart Torb`,
      }
}

const port = parentPort
if (port !== null) {
  const { dir } = workerData as { dir: string }
  serve(
    resolve(dir),
    (message) => port.postMessage(message),
    (handler) => port.on('message', handler),
  )
}
