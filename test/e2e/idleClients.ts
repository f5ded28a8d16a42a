import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Opens so many connections to a port of 127.0.0.1, sends nothing, says how many are open, and waits to be ended. */
const [port, count] = process.argv.slice(2).map(Number)
const total = count ?? 0
const open = new Set<Socket>()
for (let i = 0; i < total; i++) {
  const socket = connect(port ?? 0, '127.0.0.1')
  socket.on('connect', () => open.add(socket))
  socket.on('close', () => open.delete(socket))
  socket.on('error', () => {})
  // In steps, so that no backlog of the listener overflows.
  if (i % 200 === 199) await sleep(5)
}
while (open.size !== total) await sleep(10)
console.log(`open ${open.size}`)
process.on('SIGUSR2', () => console.log(`open ${open.size}`))
setInterval(() => {}, 60_000)
