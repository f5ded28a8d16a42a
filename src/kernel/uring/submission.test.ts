import { describe, expect, it } from 'vitest'
import {
  entryWords,
  pollEvent,
  writeAccept,
  writeAcceptNamed,
  writeCancel,
  writeCancelDescriptor,
  writeClose,
  writeConnect,
  writeNop,
  writePoll,
  writeRead,
  writeReceive,
  writeSend,
} from './submission.ts'

// 0x7f12fedcba98
const low = 0xfedcba98 | 0
const high = 0x7f12
const zero = '0000000000000000'
const address = '98badcfe127f0000'
const tag = '1122334455667788'
const rest = [zero, zero]

/** Of the same entries, filled in by a C program with linux/io_uring.h: 8 bytes a part. */
const entries: [name: string, write: (words: Int32Array, at: number) => void, parts: string[]][] = [
  ['nop', writeNop, ['00000000ffffffff', zero, zero, zero]],
  [
    'accept',
    (words, at) => writeAccept(words, at, 7, false),
    ['0d00000007000000', zero, zero, '0000000000000800'],
  ],
  [
    'multishot accept',
    (words, at) => writeAccept(words, at, 7, true),
    ['0d00010007000000', zero, zero, '0000000000000800'],
  ],
  [
    'accept that writes the address, and its length 16 bytes behind it',
    (words, at) => writeAcceptNamed(words, at, 7, low, high, 16),
    ['0d00000007000000', 'a8badcfe127f0000', address, '0000000000000800'],
  ],
  [
    'connect',
    (words, at) => writeConnect(words, at, 300, low, high, 16),
    ['100000002c010000', '1000000000000000', address, zero],
  ],
  [
    'receive',
    (words, at) => writeReceive(words, at, 9, low, high, 65_536, false),
    ['1b00000009000000', zero, address, '0000010000000000'],
  ],
  [
    'receive that polls first',
    (words, at) => writeReceive(words, at, 9, low, high, 65_536, true),
    ['1b00010009000000', zero, address, '0000010000000000'],
  ],
  [
    'send',
    (words, at) => writeSend(words, at, 9, low, high, 5, false),
    ['1a00000009000000', zero, address, '0500000000410000'],
  ],
  [
    'send with more to come',
    (words, at) => writeSend(words, at, 9, low, high, 5, true),
    ['1a00000009000000', zero, address, '0500000000c10000'],
  ],
  [
    'read',
    (words, at) => writeRead(words, at, 11, low, high, 8),
    ['160000000b000000', 'ffffffffffffffff', address, '0800000000000000'],
  ],
  [
    'poll',
    (words, at) => writePoll(words, at, 11, pollEvent.out),
    ['060000000b000000', zero, zero, '0000000004000000'],
  ],
  [
    'cancel of a descriptor',
    (words, at) => writeCancelDescriptor(words, at, 12),
    ['0e4000000c000000', zero, zero, '0000000003000000'],
  ],
  [
    'cancel of one operation',
    (words, at) => writeCancel(words, at, 0x90abcdef | 0, 0x12345678),
    ['0e400000ffffffff', zero, 'efcdab9078563412', zero],
  ],
  ['close', (words, at) => writeClose(words, at, 13), ['134000000d000000', zero, zero, zero]],
]

describe('submission entries', () => {
  for (const [name, write, parts] of entries)
    it(`are those of linux/io_uring.h, over what was there before: ${name}`, () => {
      const words = new Int32Array(3 * entryWords).fill(-1)
      // Nobody ever writes there.
      words.fill(0, entryWords + 10, 2 * entryWords)
      words[entryWords + 8] = 0x44332211
      words[entryWords + 9] = 0x88776655 | 0
      write(words, entryWords)
      const bytes = Buffer.from(words.buffer)
      expect(bytes.subarray(64, 128).toString('hex')).toBe([...parts, tag, zero, ...rest].join(''))
      // Its neighbours are as they were.
      expect(bytes.subarray(0, 64).every((byte) => byte === 0xff)).toBe(true)
      expect(bytes.subarray(128).every((byte) => byte === 0xff)).toBe(true)
    })
})
