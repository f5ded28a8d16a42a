/** What an operation is. The upper half of its user data has it in the low 4 bits, and the generation of its slot above. */
export const kind = {
  accept: 1,
  connect: 2,
  /** A connect that failed before it could be submitted. */
  unconnected: 3,
  receive: 4,
  /** A receive that waits for the socket to be readable. */
  receivable: 5,
  send: 6,
  sendable: 7,
  relay: 8,
  wake: 9,
  /** Whose failure says nothing: cancel and close. */
  quiet: 10,
} as const

export type Kind = (typeof kind)[keyof typeof kind]

/** Of an accept whose client's address is written nowhere. */
export const noPlace = 0xfffffff

export const tagOf = (kind: Kind, generation: number): number => (generation << 4) | kind
export const kindOf = (tag: number): number => tag & 0xf
export const generationOf = (tag: number): number => tag >>> 4
