import { constants } from 'node:os'
import { describe, expect, it } from 'vitest'
import type { IpvsCommand } from '../../kernel/netlink/ipvsEntries.ts'
import type { Destination, VirtualService } from '../plane.ts'
import { toDestination, toService } from './entries.ts'
import { ipvsMissing } from './missing.ts'
import { causeOf, changeRefused, daemonRefused } from './refusals.ts'
import { failure, MemoryIpvs } from './memoryIpvs.ts'
import { destination, virtualService } from './rig.ts'

const { errno } = constants

const addService = (fields: Partial<VirtualService> = {}): IpvsCommand => ({
  do: 'add-service',
  service: toService(virtualService(fields)),
})
const addDestination = (fields: Partial<Destination> = {}): IpvsCommand => ({
  do: 'add-destination',
  key: toService(virtualService()).key,
  destination: toDestination(destination(1, fields)),
})
const setDestination: IpvsCommand = { ...addDestination(), do: 'set-destination' } as IpvsCommand
const deleteService: IpvsCommand = { do: 'delete-service', key: toService(virtualService()).key }

describe('causeOf', () => {
  it.each<[keyof typeof errno, IpvsCommand, string]>([
    ['EPERM', addService(), 'CAP_NET_ADMIN'],
    ['EACCES', addService(), 'CAP_NET_ADMIN'],
    ['ENOMEM', addDestination(), 'no memory'],
    ['ENOBUFS', addDestination(), 'no memory'],
    ['EAFNOSUPPORT', addService(), 'CONFIG_IP_VS_IPV6'],
    ['ENOPROTOOPT', addService(), '"modprobe ip_vs"'],
    ['EOPNOTSUPP', addService(), 'a newer kernel'],
    ['EEXIST', addService(), '`ipvsadm -D -t 10.9.0.1:80`), or start Torb with --adopt'],
    ['EEXIST', addService({ protocol: 'udp', port: 'any' }), '`ipvsadm -D -u 10.9.0.1:0`'],
    ['EEXIST', addService({ protocol: 'sctp' }), '`ipvsadm -D --sctp-service 10.9.0.1:80`'],
    ['EEXIST', addService({ address: '2001:db8::1', family: 6 }), '`ipvsadm -D -t [2001:db8::1]:80`'],
    ['EEXIST', addService({ fwmark: 7, address: '', port: 0, family: 6 }), '`ipvsadm -D -f 7 -6`'],
    ['ENOENT', addService({ scheduler: 'twos' }), '"modprobe ip_vs_twos"'],
    ['EINVAL', addService(), 'the netmask of its persistence'],
    ['EEXIST', addDestination(), '`ipvsadm -d -t 10.9.0.1:80 -r 10.8.0.1:80`'],
    ['ENOENT', setDestination, 'somebody removed this backend'],
    ['ERANGE', addDestination(), 'its lower threshold is above the upper one'],
    ['EINVAL', addDestination({ address: '2001:db8::1' }), 'only tunnels lead from one to the other'],
    [
      'EINVAL',
      addDestination({ address: '2001:db8::1', forwarding: 'tunnel', tunnel: { type: 'ipip', port: 0 } }),
      'ipvsadm --stop-daemon',
    ],
    [
      'EINVAL',
      addDestination({ forwarding: 'tunnel', tunnel: { type: 'gue', port: 0 } }),
      'gue needs a port',
    ],
    ['EINVAL', addDestination({ upperThreshold: 2 ** 31 }), 'up to 2147483647'],
    ['EINVAL', addDestination({ address: '224.0.0.1' }), '224.0.0.1 is no address of one host'],
    ['ESRCH', setDestination, 'somebody removed the service'],
    ['ESRCH', { do: 'zero', key: toService(virtualService()).key }, 'somebody removed the service'],
    // What is not foreseen is told as the kernel tells it.
    ['EIO', deleteService, 'delete-service: i/o error'],
  ])('%s of %o says %s', (name, command, text) => {
    expect(causeOf(command, failure(command.do, errno[name] ?? 0))).toContain(text)
  })
})

describe('changeRefused', () => {
  const spec = virtualService({ destinations: [destination(1)] })

  it('names the service, what was asked, errno, cause and cure', () => {
    const error = failure('add-destination', errno.ERANGE)
    const refused = { command: addDestination(), error, appeared: true, undoing: null }
    expect(changeRefused(spec, 'web', refused).message).toBe(
      'service web: IPVS refused to add backend b1 (10.8.0.1:80) (ERANGE): its weight is negative or its lower ' +
        'threshold is above the upper one; give 0 or more, and lower below upper',
    )
  })

  it('says that something was left', () => {
    const error = failure('delete-service', errno.EPERM)
    const refused = { command: deleteService, error, appeared: false, undoing: failure('x', errno.ENOMEM) }
    expect(changeRefused(null, 'web', refused).message).toMatch(
      /^service web: IPVS refused to remove tcp 10\.9\.0\.1:80 \(EPERM\): .*could not be taken back \(ENOMEM\)/,
    )
  })
})

describe('ipvsMissing', () => {
  it.each<[keyof typeof errno, string]>([
    ['ENOENT', '"modprobe ip_vs"'],
    ['EPERM', 'CAP_NET_ADMIN'],
    ['EACCES', 'CAP_NET_ADMIN'],
    ['EPROTONOSUPPORT', 'no generic netlink'],
    ['EAFNOSUPPORT', 'no netlink'],
  ])('%s says %s', async (name, text) => {
    const sentence = await ipvsMissing(() => Promise.reject(failure('open', errno[name] ?? 0)))
    expect(sentence).toContain(`IPVS cannot be used (${name})`)
    expect(sentence).toContain(text)
  })

  it('is null where the table answers, and says why it does not', async () => {
    expect(await ipvsMissing(async () => new MemoryIpvs())).toBe(null)
    const mute = new MemoryIpvs()
    mute.info = () => {
      throw failure('get-info', errno.EPERM)
    }
    expect(await ipvsMissing(async () => mute)).toContain('CAP_NET_ADMIN')
  })
})

describe('daemonRefused', () => {
  it.each<[keyof typeof errno, string]>([
    ['EEXIST', 'ipvsadm --stop-daemon master'],
    ['ENODEV', 'there is no interface eth9'],
    ['EINVAL', 'no multicast address'],
    ['EPERM', 'CAP_NET_ADMIN'],
  ])('%s says %s', (name, text) => {
    expect(daemonRefused('master', 'eth9', failure('start-daemon', errno[name] ?? 0)).message).toContain(text)
  })
})
