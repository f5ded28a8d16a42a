/**
 * Calls of asynchronous functions in another process, over any channel that carries structured-clone values:
 * an IPC pipe into a network namespace, a serial line into User-Mode Linux.
 */
export interface Channel {
  send(message: unknown): void
  onMessage(listener: (message: unknown) => void): void
  /** The other side is gone; `reason` says why. */
  onClose(listener: (reason: string) => void): void
}

/** Functions that can be called from afar. */
export type Methods = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>

interface Call {
  readonly id: number
  readonly method: string
  readonly args: never[]
}

type Reply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly message: string; readonly code: unknown } }

/** Answers the calls that arrive on a channel. Call errors keep message and `code`. */
export function serve(methods: Methods, channel: Channel): void {
  channel.onMessage((message) => {
    const { id, method, args } = message as Call
    const reply = (answer: Reply): void => channel.send(answer)
    const called = methods[method]
    if (called === undefined) {
      reply({ id, error: { message: `no method ${method} on the other side`, code: undefined } })
      return
    }
    // oxlint-disable-next-line promise/catch-or-return -- both outcomes are handled
    called(...args).then(
      (value) => reply({ id, value }),
      (error: Error & { code?: unknown }) =>
        reply({ id, error: { message: error.message, code: error.code } }),
    )
  })
}

/** The methods of the other side as local functions. */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller knows what the other side serves
export function remote<T extends Methods>(channel: Channel): T {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let next = 1
  let closed: string | null = null
  channel.onMessage((message) => {
    const reply = message as Reply
    const call = waiting.get(reply.id)
    waiting.delete(reply.id)
    if ('error' in reply)
      call?.reject(Object.assign(new Error(reply.error.message), { code: reply.error.code }))
    else call?.resolve(reply.value)
  })
  channel.onClose((reason) => {
    closed = reason
    for (const { reject } of waiting.values()) reject(new Error(reason))
    waiting.clear()
  })
  return new Proxy({} as T, {
    get(_, method: string) {
      // Whoever awaits the proxy asks whether it is a promise.
      if (method === 'then') return undefined
      return (...args: never[]) =>
        new Promise((resolve, reject) => {
          if (closed !== null) {
            reject(new Error(closed))
            return
          }
          const id = next++
          waiting.set(id, { resolve, reject })
          channel.send({ id, method, args } satisfies Call)
        })
    },
  })
}
