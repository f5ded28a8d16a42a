/** A number of places; whoever gets none does without. */
export class Places {
  readonly limit: number
  used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  take(count: number): boolean {
    if (this.used + count > this.limit) return false
    this.used += count
    return true
  }

  give(count: number): void {
    this.used -= count
  }
}
