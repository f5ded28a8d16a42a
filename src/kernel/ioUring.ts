import { getSystemErrorName } from 'node:util'

/** The number of io_uring_setup(2), the same on every architecture (asm-generic/unistd.h). */
const ioUringSetup = 425

/**
 * Asks for a ring without saying where: a kernel that would make one answers EFAULT, others ENOSYS, those that forbid it
 * EPERM. Nothing is made.
 */
export async function askForRing(): Promise<string> {
  const { default: koffi } = await import('koffi')
  const syscall = koffi.load(null).func('long syscall(long number, unsigned int entries, void *parameters)')
  syscall(ioUringSetup, 1, null)
  return getSystemErrorName(-koffi.errno())
}
