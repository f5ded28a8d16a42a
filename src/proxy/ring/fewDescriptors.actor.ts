/** An echo server over the ring, to be run with few descriptors: says its port, and after so many clients its turns. */
import { echo } from './rig.ts'
import { RingStream } from './stream.ts'

const clients = Number(process.argv[2])
const stream = await RingStream.open({ slots: 256, slotBytes: 4096 })
const events = echo(stream)
let accepted = 0
const { port } = await stream.listen('127.0.0.1', 0, {
  ...events,
  accepted: (connection) => {
    accepted += 1
    events.accepted(connection)
  },
})
process.stdout.write(`${port}\n`)
let turns = 0
const isDone = (): boolean => accepted === clients && stream.freeSlots === 256
while (!isDone()) {
  turns += 1
  stream.turn(1000)
}
process.stdout.write(`${turns}\n`)
stream.end()
