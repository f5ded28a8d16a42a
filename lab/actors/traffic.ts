import { Client, type Traffic } from '../client.ts'
import { EchoServers } from '../echo.ts'

const client = new Client(5000)
const echoes = new EchoServers()

/** Clients and echo servers for a process of their own. */
export const actor = {
  listen: (name: string, address: string, port: number) => echoes.listen(name, address, port),
  closeServer: (name: string) => echoes.close(name),
  exchange: (traffic: Traffic) => client.exchange(traffic),
  start: (traffic: Traffic) => client.start(traffic),
  stop: (id: number) => client.stop(id),
  hold: (traffic: Traffic) => client.hold(traffic),
  answering: (ids: readonly number[]) => client.answering(ids),
  release: (ids: readonly number[]) => client.release(ids),
  releaseAll: () => client.releaseAll(),
}
export type TrafficActor = typeof actor
