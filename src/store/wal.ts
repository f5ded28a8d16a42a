import { endianness } from 'node:os'

/*
 * SQLite's write-ahead log as bytes (sqlite.org/fileformat2.html, "The Write-Ahead Log"), to tell a torn tail from damage.
 *
 * SQLite replays frames up to the first that does not verify and drops the rest. After a crash that is right: the rest was
 * never acknowledged. But a byte flipped in the middle would take acknowledged commits behind it along, silently.
 */
const headerSize = 32
const frameHeaderSize = 24
const magic = 0x377f0682

/** Checksum of all bytes so far. */
type Sum = readonly [number, number]

interface Log {
  readonly view: DataView
  readonly pageSize: number
  readonly littleEndian: boolean
  /** Frames of an earlier use of the file bear other salts. */
  readonly salts: Sum
}

/**
 * The offset of what does not verify although a transaction begun after it was complete does, or null.
 *
 * Every commit is synced before the next begins, so only the last transaction of a log can be torn.
 *
 * @param pageSize of the database, for a log whose header cannot be believed
 */
export function damagedAt(bytes: Uint8Array, pageSize: number): number | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < headerSize + frameHeaderSize + pageSize) return null

  const littleEndian = (view.getUint32(0) & 1) === 0
  let sum: Sum = checksum(view, 0, 24, littleEndian, [0, 0])
  const headerVerifies = view.getUint32(0) >>> 1 === magic >>> 1 && equal(sum, pairAt(view, 24))
  const log: Log = headerVerifies
    ? { view, pageSize: view.getUint32(8), littleEndian, salts: pairAt(view, 16) }
    : { view, pageSize, littleEndian: endianness() === 'LE', salts: pairAt(view, headerSize + 8) }
  const frames = Math.floor((bytes.length - headerSize) / (frameHeaderSize + log.pageSize))

  let broken = 0
  if (headerVerifies) {
    for (; broken < frames; broken++) {
      const next = verify(log, broken, sum)
      if (next === null) break
      sum = next
    }
  }
  // From here on each frame is measured from the checksum that the frame before it claims.
  let commits = isCommit(log, broken, frames) ? 1 : 0
  for (let later = broken + 1; later < frames; later++) {
    if (
      isCommit(log, later, frames) &&
      verify(log, later, pairAt(view, offsetOf(log, later - 1) + 16)) !== null
    )
      commits++
    // One commit may be the end of the torn transaction itself; of two, one was begun when the other was on disk.
    if (commits === 2) return headerVerifies ? offsetOf(log, broken) : 0
  }
  return null
}

const offsetOf = (log: Log, frame: number): number => headerSize + frame * (frameHeaderSize + log.pageSize)
const pairAt = (view: DataView, at: number): Sum => [view.getUint32(at), view.getUint32(at + 4)]
const equal = (a: Sum, b: Sum): boolean => a[0] === b[0] && a[1] === b[1]

/** The last frame of a transaction holds the size of the database after it. */
function isCommit(log: Log, frame: number, frames: number): boolean {
  if (frame >= frames) return false
  const at = offsetOf(log, frame)
  return log.view.getUint32(at + 4) !== 0 && equal(pairAt(log.view, at + 8), log.salts)
}

function verify(log: Log, frame: number, from: Sum): Sum | null {
  const at = offsetOf(log, frame)
  if (!equal(pairAt(log.view, at + 8), log.salts)) return null
  const head = checksum(log.view, at, 8, log.littleEndian, from)
  const sum = checksum(log.view, at + frameHeaderSize, log.pageSize, log.littleEndian, head)
  return equal(sum, pairAt(log.view, at + 16)) ? sum : null
}

function checksum(view: DataView, start: number, length: number, littleEndian: boolean, from: Sum): Sum {
  let [a, b] = from
  for (let at = start; at < start + length; at += 8) {
    a = (a + view.getUint32(at, littleEndian) + b) >>> 0
    b = (b + view.getUint32(at + 4, littleEndian) + a) >>> 0
  }
  return [a, b]
}
