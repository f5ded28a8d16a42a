import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unixctl } from './unixctl.ts'

describe('commands of a daemon of Open vSwitch', () => {
  const directory = mkdtempSync(join(tmpdir(), 'unixctl-'))
  const socket = join(directory, 'ovs-vswitchd.7.ctl')
  let server: Server

  const ask = (path: string, command: string, ...params: readonly string[]): Promise<string> =>
    unixctl(path, 'ovs-vswitchd', command, params, 200)

  beforeAll(async () => {
    server = createServer((client) => {
      client.on('data', (bytes) => {
        const { id, method, params } = JSON.parse(bytes.toString()) as {
          id: number
          method: string
          params: readonly string[]
        }
        if (method === 'hang up') client.end()
        else if (method === 'garbage') client.write('welcome')
        else if (method === 'list') {
          const answer = JSON.stringify({ id, result: params.join('\n'), error: null })
          client.write(answer.slice(0, 9))
          setImmediate(() => client.end(answer.slice(9)))
        } else if (method !== 'silence') {
          client.end(JSON.stringify({ id, result: null, error: `"${method}" is not a valid command\n` }))
        }
      })
    }).listen(socket)
    await once(server, 'listening')
    writeFileSync(join(directory, 'ovs-vswitchd.pid'), '7\n')
  })
  afterAll(() => {
    server.close()
    rmSync(directory, { recursive: true })
  })

  it('are answered, by socket and by run directory', async () => {
    expect(await ask(socket, 'list', 'a', '}{"')).toBe('a\n}{"')
    expect(await ask(directory, 'list')).toBe('')
  })

  it.each([
    ['nonsense', 'it refused nonsense: "nonsense" is not a valid command'],
    ['hang up', 'it closed the connection'],
    ['garbage', "it does not speak unixctl's protocol: byte 0x77 stands between JSON objects"],
    ['silence', 'it does not answer within 0.2 s'],
  ])('%s is an error with its cause', async (command, cause) => {
    await expect(ask(socket, command)).rejects.toThrow(`ovs-vswitchd at ${socket} cannot be asked: ${cause}`)
  })

  it('need somebody who listens', async () => {
    await expect(unixctl('', 'ovs-vswitchd', 'list', [], 200)).rejects.toThrow('there is no ovs-vswitchd.pid')
    await expect(ask(join(directory, 'none'), 'list')).rejects.toThrow('there is no such socket')
    await expect(ask(join(directory, 'ovs-vswitchd.pid'), 'list')).rejects.toThrow('nobody listens there')
    await expect(unixctl(directory, 'ovn-controller', 'list', [], 200)).rejects.toThrow(
      'there is no ovn-controller.pid',
    )
  })
})
