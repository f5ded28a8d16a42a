import { request } from '../rig.ts'

/** A client in a network namespace: each request on a connection of its own, as curl does it. */
export const actor = {
  request: (url: string, method?: string, body?: unknown) => request(url, method, body, false),
}
export type HttpActor = typeof actor
