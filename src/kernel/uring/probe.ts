import { readFileSync } from 'node:fs'
import { getSystemErrorName } from 'node:util'
import { SystemCallError } from '../ffi.ts'
import { Ring } from './ring.ts'

/** Why there is no ring, and what to do about it. */
export interface RingRefusal {
  readonly cause: string
  readonly cure: string
}

/** Makes a ring as the proxy does. @returns null where that is possible, else why not, in one sentence */
export async function ringMissing(): Promise<string | null> {
  const refusal = await askForRing()
  return refusal === null ? null : `${refusal.cause}: ${refusal.cure}`
}

/** As `ringMissing`, cause and cure apart. */
export async function askForRing(): Promise<RingRefusal | null> {
  if (process.platform !== 'linux')
    return { cause: `io_uring is Linux's, and this is ${process.platform}`, cure: 'use Linux 6.1 or newer' }
  try {
    const ring = await Ring.open(2)
    ring.close()
    return null
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error
    return refusalOf(getSystemErrorName(-error.errno), disabledSetting())
  }
}

/** @param error of io_uring_setup(2) or mmap(2), @param disabled sysctl kernel.io_uring_disabled, where there is one */
export function refusalOf(error: string, disabled: number | null): RingRefusal {
  switch (error) {
    case 'ENOSYS':
      return {
        cause: 'the kernel has no io_uring, or a sandbox hides it (ENOSYS)',
        cure: 'use a kernel with CONFIG_IO_URING',
      }
    case 'EINVAL':
      return {
        cause: "the kernel's io_uring is too old (EINVAL)",
        cure: 'use kernel 6.1 or newer',
      }
    case 'EPERM':
      if (disabled === 2)
        return {
          cause: 'io_uring is switched off for everybody',
          cure: 'set sysctl kernel.io_uring_disabled=0',
        }
      if (disabled === 1)
        return {
          cause: 'io_uring is allowed only to the group of sysctl kernel.io_uring_group',
          cure: 'join that group, or set sysctl kernel.io_uring_disabled=0',
        }
      return {
        cause: 'io_uring_setup(2) is forbidden (EPERM)',
        cure: 'allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile of the container or unit',
      }
    case 'EACCES':
      return {
        cause: 'a security module forbids io_uring (EACCES)',
        cure: 'allow it there (SELinux: class io_uring)',
      }
    case 'ENOMEM':
      return {
        cause: 'no memory is left for a ring (ENOMEM)',
        cure: 'raise the memory limit of the cgroup, or RLIMIT_MEMLOCK',
      }
    case 'EMFILE':
    case 'ENFILE':
      return { cause: `no descriptor is left for a ring (${error})`, cure: 'raise RLIMIT_NOFILE' }
    default:
      return { cause: `io_uring_setup(2) failed (${error})`, cure: 'use kernel 6.1 or newer' }
  }
}

function disabledSetting(): number | null {
  try {
    return Number(readFileSync('/proc/sys/kernel/io_uring_disabled', 'utf8'))
  } catch {
    // Kernels before 6.6 have no such switch.
    return null
  }
}
