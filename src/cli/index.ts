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
  gateway: {
    summary: 'runs the function gateway: /function/NAME to weighted instances',
    load: async () => (await import('./gateway.ts')).gateway,
  },
  demo: {
    summary: 'plays the whole tutorial in one terminal, without root',
    load: async () => (await import('./demo.ts')).demo,
  },
  services: {
    summary: 'shows services and backends: health, weights, connections',
    load: async () => (await import('./services.ts')).services,
  },
  functions: {
    summary: 'shows and changes the functions of the gateway',
    load: async () => (await import('./functions.ts')).functions,
  },
  top: {
    summary: 'shows them live',
    load: async () => (await import('./top.ts')).top,
  },
  planes: {
    summary: 'shows the data planes, what others put there, and the announcers',
    load: async () => (await import('./planes.ts')).planes,
  },
  zero: {
    summary: 'sets the counters to zero',
    load: async () => (await import('./zero.ts')).zero,
  },
  explain: {
    summary: 'says where a connection or a request would go, and why',
    load: async () => (await import('./explain.ts')).explain,
  },
  plan: {
    summary: 'shows what apply would do',
    load: async () => (await import('./plan.ts')).plan,
  },
  apply: {
    summary: 'makes of what Torb holds what a file of services wants',
    load: async () => (await import('./apply.ts')).apply,
  },
  doctor: {
    summary: 'says what Torb can do on this machine, and what is missing',
    load: async () => (await import('./doctor.ts')).doctor,
  },
  backup: {
    summary: 'copies the store of a data directory, also of a running Torb',
    load: async () => (await import('./backup.ts')).backup,
  },
  restore: {
    summary: 'puts a backup in its place',
    load: async () => (await import('./restore.ts')).restore,
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
