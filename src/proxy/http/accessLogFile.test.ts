import { mkdtempDisposableSync, readFileSync, renameSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { AccessLog, LoggedText } from './proxyLog.ts'
import { AccessLogFile } from './accessLogFile.ts'

/** What a Worker does: so many requests to a target. */
function log(file: AccessLogFile, target: string, count = 1): void {
  const memory = file.memories[0]
  if (memory === undefined) throw new Error('there is no Worker')
  const bytes = Buffer.from(`10.0.0.1GET${target}`)
  const text = new LoggedText()
  text.keep(bytes, 8, bytes, 8, 11, 11, bytes.length)
  const worker = new AccessLog(memory)
  const end = {
    upstream: 7,
    outcome: 'completed',
    status: 200,
    requestBytes: 1,
    responseBytes: 2,
    milliseconds: 3,
  } as const
  for (let i = 0; i < count; i++) worker.write(0, text, end)
}

it('writes what is left at its end, and to the old file what came before it was opened anew', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'torb-log-'))
  const path = join(place.path, 'access.log')
  const complain = (text: string): void => expect.fail(text)
  const file = new AccessLogFile({ path, workers: 1, nameOf: (upstream) => `i${upstream}`, complain })
  log(file, '/a')
  file.flush()
  renameSync(path, `${path}.1`)
  file.reopen()
  await file.close()
  expect(readFileSync(`${path}.1`, 'utf8')).toBe(
    '1970-01-01T00:00:00.000Z 10.0.0.1 GET /a i7 200 completed 3.000 1 2\n',
  )
  expect(readFileSync(path, 'utf8')).toBe('')
})

it('says once that the disk is full or that it could not keep up, and goes on', async () => {
  const complaints: string[] = []
  const file = new AccessLogFile({
    path: '/dev/full',
    workers: 1,
    nameOf: () => '',
    complain: (text) => void complaints.push(text),
  })
  log(file, '/a')
  file.flush()
  await file.close()
  expect(complaints).toEqual(['the access log cannot be written: ENOSPC: no space left on device, write'])

  const slow = new AccessLogFile({
    path: '/dev/null',
    workers: 1,
    nameOf: () => '',
    complain: (text) => void complaints.push(text),
  })
  log(slow, '/a', 16_384 + 10)
  await slow.close()
  expect(complaints[1]).toContain('lacks 10 requests')
})
