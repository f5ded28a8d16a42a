import type { Command } from './command.ts'

export interface Entry {
  readonly summary: string
  /** Each command is loaded only when it is the one to run. */
  readonly load: () => Promise<Command>
}

export const commands: Readonly<Record<string, Entry>> = {
  serve: {
    summary: 'runs the load balancer and its REST API',
    load: async () => (await import('./serve.ts')).serve,
  },
  server: {
    summary: "the tutorial's web server, slow on purpose",
    load: async () => (await import('./server.ts')).server,
  },
  client: {
    summary: "the tutorial's client of changing load",
    load: async () => (await import('./client.ts')).client,
  },
}
