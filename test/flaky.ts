import type { Reporter, TestCase } from 'vitest/node'

/** Tells at the end which tests passed only when they ran again, and what failed before: each is to be mended. */
export default class FlakyReporter implements Reporter {
  readonly #flaky: TestCase[] = []

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky === true) this.#flaky.push(test)
  }

  onTestRunEnd(): void {
    for (const test of this.#flaky) {
      const [error] = test.result().errors ?? []
      // In one line, as test/all.sh looks for it.
      const why = (error?.stack ?? error?.message ?? 'no reason given').replaceAll(/\s+/g, ' ').slice(0, 1000)
      console.log(`flaky: ${test.module.relativeModuleId} > ${test.fullName}: ${why}`)
    }
  }
}
