import { closeSync, openSync } from 'node:fs'
import { loadLibc } from './ffi.ts'

/** linux/sched.h */
const CLONE_NEWNET = 0x40000000

/**
 * Runs `action` with this thread in another network namespace; what it opens stays there.
 *
 * Nothing else runs on this thread meanwhile: `action` must not be asynchronous.
 *
 * @param path such as /run/netns/NAME or /proc/PID/ns/net
 * @throws Error where there is no such namespace, SystemCallError where entering it is not allowed (EPERM)
 */
export async function inNamespace<T>(path: string, action: () => T): Promise<T> {
  const libc = await loadLibc()
  const home = openSync('/proc/thread-self/ns/net', 'r')
  try {
    const target = openSync(path, 'r')
    try {
      libc.setns(target, CLONE_NEWNET)
    } finally {
      closeSync(target)
    }
    try {
      return action()
    } finally {
      libc.setns(home, CLONE_NEWNET)
    }
  } finally {
    closeSync(home)
  }
}
