/**
 * Submission queue entries (linux/io_uring.h: struct io_uring_sqe), each 16 words of 32 bits. `at` is the first word of the
 * entry; words 8 and 9, the user data, are the caller's, and those behind them are 0 ever. Addresses come as two halves, so
 * that no number is larger than a small integer of the engine.
 */

/** Words of an entry. */
export const entryWords = 16

/** linux/io_uring.h: enum io_uring_op */
const opcode = {
  nop: 0,
  pollAdd: 6,
  accept: 13,
  asyncCancel: 14,
  connect: 16,
  close: 19,
  read: 22,
  send: 26,
  receive: 27,
} as const

const IOSQE_CQE_SKIP_SUCCESS = 1 << 6
/** In the place of ioprio. */
const IORING_RECVSEND_POLL_FIRST = 1 << 0
const IORING_ACCEPT_MULTISHOT = 1 << 0
const IORING_ASYNC_CANCEL_ALL = 1 << 0
const IORING_ASYNC_CANCEL_FD = 1 << 1
const SOCK_CLOEXEC = 0o2000000
const MSG_WAITALL = 0x100
const MSG_NOSIGNAL = 0x4000
const MSG_MORE = 0x8000

/** asm-generic/poll.h */
export const pollEvent = { in: 0x01, out: 0x04 } as const

/** Completes at once with 0. */
export function writeNop(words: Int32Array, at: number): void {
  write(words, at, opcode.nop, -1, 0, 0, 0, 0, 0, 0)
}

/**
 * @param isMultishot accepts again and again, and stays at its place in the queue of those who wait for the socket: of several
 *   threads that share it, always the same one would be woken. Else it accepts one connection.
 */
export function writeAccept(words: Int32Array, at: number, listener: number, isMultishot: boolean): void {
  const priority = isMultishot ? IORING_ACCEPT_MULTISHOT : 0
  write(words, at, opcode.accept | (priority << 16), listener, 0, 0, 0, 0, 0, SOCK_CLOEXEC)
}

/** Accepts one connection. Its peer's socket address is written to the address, whose length is at `low + lengthAt`. */
export function writeAcceptNamed(
  words: Int32Array,
  at: number,
  listener: number,
  low: number,
  high: number,
  lengthAt: number,
): void {
  write(words, at, opcode.accept, listener, (low + lengthAt) | 0, high, low, high, 0, SOCK_CLOEXEC)
}

/** The address (a sockaddr of `bytes` bytes) is read when the entry is submitted. */
export function writeConnect(
  words: Int32Array,
  at: number,
  socket: number,
  low: number,
  high: number,
  bytes: number,
): void {
  write(words, at, opcode.connect, socket, bytes, 0, low, high, 0, 0)
}

/** @param pollFirst nothing is expected to be there yet, so that trying first is in vain */
export function writeReceive(
  words: Int32Array,
  at: number,
  socket: number,
  low: number,
  high: number,
  bytes: number,
  pollFirst: boolean,
): void {
  const priority = pollFirst ? IORING_RECVSEND_POLL_FIRST : 0
  write(words, at, opcode.receive | (priority << 16), socket, 0, 0, low, high, bytes, 0)
}

/** Sends all of it before it completes, unless the peer goes. */
export function writeSend(
  words: Int32Array,
  at: number,
  socket: number,
  low: number,
  high: number,
  bytes: number,
  more: boolean,
): void {
  const flags = MSG_NOSIGNAL | MSG_WAITALL | (more ? MSG_MORE : 0)
  write(words, at, opcode.send, socket, 0, 0, low, high, bytes, flags)
}

export function writeRead(
  words: Int32Array,
  at: number,
  descriptor: number,
  low: number,
  high: number,
  bytes: number,
): void {
  // Offset -1: where the descriptor stands.
  write(words, at, opcode.read, descriptor, -1, -1, low, high, bytes, 0)
}

/** Waits once until the descriptor has one of these events. */
export function writePoll(words: Int32Array, at: number, descriptor: number, events: number): void {
  write(words, at, opcode.pollAdd, descriptor, 0, 0, 0, 0, 0, events)
}

/** Ends what is under way on a descriptor. Completes only where there was nothing. */
export function writeCancelDescriptor(words: Int32Array, at: number, descriptor: number): void {
  const head = opcode.asyncCancel | (IOSQE_CQE_SKIP_SUCCESS << 8)
  write(words, at, head, descriptor, 0, 0, 0, 0, 0, IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL)
}

/** Ends the operation of this user data. Completes only where there was none. */
export function writeCancel(words: Int32Array, at: number, low: number, high: number): void {
  write(words, at, opcode.asyncCancel | (IOSQE_CQE_SKIP_SUCCESS << 8), -1, 0, 0, low, high, 0, 0)
}

/** Completes only where it fails. */
export function writeClose(words: Int32Array, at: number, descriptor: number): void {
  write(words, at, opcode.close | (IOSQE_CQE_SKIP_SUCCESS << 8), descriptor, 0, 0, 0, 0, 0, 0)
}

/** @param head opcode, flags in the second byte, ioprio in the upper half */
function write(
  words: Int32Array,
  at: number,
  head: number,
  descriptor: number,
  offsetLow: number,
  offsetHigh: number,
  low: number,
  high: number,
  bytes: number,
  flags: number,
): void {
  words[at] = head
  words[at + 1] = descriptor
  words[at + 2] = offsetLow
  words[at + 3] = offsetHigh
  words[at + 4] = low
  words[at + 5] = high
  words[at + 6] = bytes
  words[at + 7] = flags
}
