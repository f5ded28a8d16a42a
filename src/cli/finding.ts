export interface Finding {
  /** problem: Torb will not do its work. note: something better is possible. */
  readonly level: 'ok' | 'note' | 'problem'
  readonly subject: string
  readonly fact: string
  /** Empty where there is nothing to cure. */
  readonly cure: string
}

export const ok = (subject: string, fact: string): Finding => ({ level: 'ok', subject, fact, cure: '' })
export const note = (subject: string, fact: string, cure: string): Finding => ({
  level: 'note',
  subject,
  fact,
  cure,
})
export const problem = (subject: string, fact: string, cure: string): Finding => ({
  level: 'problem',
  subject,
  fact,
  cure,
})
