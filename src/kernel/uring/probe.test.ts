import { describe, expect, it } from 'vitest'
import { refusalOf, ringMissing } from './probe.ts'

describe('why there is no ring', () => {
  it.each([
    ['ENOSYS', null, /no io_uring.*CONFIG_IO_URING/],
    ['EINVAL', null, /too old.*6\.1/],
    ['EPERM', 2, /switched off for everybody.*io_uring_disabled=0/],
    ['EPERM', 1, /io_uring_group.*join/],
    ['EPERM', 0, /forbidden.*seccomp/],
    ['EPERM', null, /forbidden.*seccomp/],
    ['EACCES', 0, /security module.*SELinux/],
    ['ENOMEM', 0, /memory.*RLIMIT_MEMLOCK/],
    ['EMFILE', 0, /descriptor.*RLIMIT_NOFILE/],
    ['ENXIO', 0, /failed \(ENXIO\)/],
  ] as const)('%s, io_uring_disabled %s', (error, disabled, words) => {
    const { cause, cure } = refusalOf(error, disabled)
    expect(`${cause}: ${cure}`).toMatch(words)
  })

  it('is asked of the kernel itself, which either makes one or gives a cause and a cure', async () => {
    const missing = await ringMissing()
    if (missing !== null) expect(missing).toMatch(/^.{10,}: .{5,}$/)
    else expect(missing).toBeNull()
  })
})
