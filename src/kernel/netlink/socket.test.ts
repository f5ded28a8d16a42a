import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SystemCallError } from '../ffi.ts'
import { GenericFamily } from './generic.ts'
import { flag } from './message.ts'
import { encodeAddress, openRoute } from './route.ts'
import { addressLayout, linkLayout, readLayout, routeType, writeLayout } from './routeMessages.ts'
import { netlinkFamily, NetlinkSocket, type Request } from './socket.ts'

const namespace = `torb-test-${randomBytes(4).toString('hex')}`
const ip = (...args: string[]) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
const missing = ((): string => {
  try {
    ip('netns', 'add', namespace)
    ip('netns', 'delete', namespace)
    return ''
  } catch (error) {
    return (error as Error).message.trim()
  }
})()
if (missing !== '')
  console.warn(`skipped: netlink sockets in a namespace, which cannot be made here (${missing})`)

const loopback = 1
const add = (index: number): Request =>
  encodeAddress(
    'add address',
    routeType.newAddress,
    flag.create | flag.exclusive,
    { interface: 'lo', address: Uint8Array.of(10, 30, index >> 8, index & 255), prefix: 32 },
    loopback,
  )
const link = { family: 0, pad: 0, type: 0, index: loopback, flags: 0, change: 0 }
const getLink: Request = {
  name: 'get link',
  type: routeType.getLink,
  write: writeLayout(linkLayout, link, {}),
}
const getAddresses: Request = {
  name: 'list addresses',
  type: routeType.getAddress,
  write: writeLayout(addressLayout, { family: 0, prefix: 0, flags: 0, scope: 0, index: 0 }, {}),
}
const errnos = (outcomes: readonly (Error | null)[]) =>
  outcomes.map((outcome) => (outcome instanceof SystemCallError ? outcome.errno : outcome))

describe.skipIf(missing !== '')('netlink sockets', () => {
  const options = { namespace: `/run/netns/${namespace}` }
  beforeAll(() => {
    ip('netns', 'add', namespace)
    ip('-n', namespace, 'link', 'set', 'lo', 'up')
  })
  afterAll(() => {
    ip('netns', 'delete', namespace)
  })

  it('do a thousand requests in order and say of each what became of it', async () => {
    const socket = await NetlinkSocket.open(netlinkFamily.route, options)
    // Every seventh comes a second time, right behind.
    const twice = Array.from({ length: 1000 }, (_, index) => index).flatMap((index) =>
      index % 7 === 0 ? [index, index] : [index],
    )
    const outcomes = socket.execute(twice.map((index) => add(index)))
    expect(errnos(outcomes)).toEqual(twice.map((index, at) => (twice[at - 1] === index ? 17 : null)))
    expect(errnos(socket.execute([]))).toEqual([])
    socket.close()
  })

  it('lose no answer, however small their buffer', async () => {
    const socket = await NetlinkSocket.open(netlinkFamily.route, { ...options, receiveBuffer: 1 })
    const outcomes = socket.execute(Array.from({ length: 100 }, (_, index) => add(index)))
    expect(errnos(outcomes)).toEqual(Array<number>(100).fill(17))
    socket.close()
  })

  it('say where an answer got lost all the same, and go on', async () => {
    const socket = await NetlinkSocket.open(netlinkFamily.route, { ...options, receiveBuffer: 1 })
    // Each is answered with a whole link, for which the buffer has no room.
    const outcomes = socket.execute([getLink, getLink])
    expect(errnos(outcomes).at(-1)).toBe(105) // ENOBUFS
    expect(outcomes.at(-1)?.message).toContain('it is not known whether it was done')
    expect(errnos(socket.execute([add(0), add(2000)]))).toEqual([17, null])
    socket.close()
  })

  it('do the others when one cannot be encoded', async () => {
    const socket = await NetlinkSocket.open(netlinkFamily.route, options)
    const broken: Request = {
      ...add(0),
      write: () => {
        throw new RangeError('no such number')
      },
    }
    expect(socket.execute([broken])).toEqual([new RangeError('no such number')])
    const outcomes = socket.execute([add(3000), broken, add(3001), broken])
    expect(outcomes).toEqual([null, new RangeError('no such number'), null, new RangeError('no such number')])
    socket.close()
  })

  it('read a list again that changed while it was read', async () => {
    const socket = await NetlinkSocket.open(netlinkFamily.route, options)
    const other = await openRoute(options)
    const late = { interface: 'lo', address: Uint8Array.of(10, 31, 0, 1), prefix: 32 }
    let calls = 0
    const seen = socket.dump(getAddresses, (message) => {
      calls += 1
      if (calls === 1) other.addAddress(late)
      return readLayout(addressLayout, message)?.values.local?.join('.')
    })
    expect(seen).toContain('10.31.0.1')
    expect(new Set(seen).size).toBe(seen.length)
    expect(calls).toBeGreaterThan(seen.length)
    other.close()
    socket.close()
  })

  it('give up on a list that never stands still', async () => {
    const socket = await NetlinkSocket.open(netlinkFamily.route, options)
    const other = await openRoute(options)
    let calls = 0
    const restless = (): void => {
      calls += 1
      if (calls > 100_000) throw new Error('it does not give up')
      // Often enough that each attempt sees some change.
      if (calls % 100 !== 0) return
      const address = Uint8Array.of(10, 40 + (calls >> 16), (calls >> 8) & 255, calls & 255)
      other.addAddress({ interface: 'lo', address, prefix: 32 })
    }
    expect(() => socket.dump(getAddresses, restless)).toThrow('the list changed while it was read')
    expect(socket.request(getLink)?.type).toBe(routeType.newLink)
    other.close()
    socket.close()
  })

  it('tell of a failure once they are closed', async () => {
    const socket = await NetlinkSocket.open(netlinkFamily.route, options)
    socket.close()
    expect(() => socket.request(getLink)).toThrow(/^send: /)
    expect(errnos(socket.execute([getLink]))).toEqual([9]) // EBADF
  })
})

describe('generic netlink', () => {
  it('knows its own controller', async () => {
    const family = await GenericFamily.open('nlctrl', 2)
    family.close()
  })

  it('says of a family that the kernel does not have that there is none', async () => {
    const refused = await GenericFamily.open('torb-none', 1).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(SystemCallError)
    expect(refused).toMatchObject({
      errno: 2,
      message: expect.stringMatching(/^look up generic netlink family torb-none: no such file or directory/),
    })
  })
})
