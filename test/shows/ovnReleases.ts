import { ovnMissing } from '../../lab/ovn/ovn.ts'
import { OvnRelease } from '../../lab/ovn/release.ts'
import type { Show } from './show.ts'

/** Debian's releases after the one whose OVN all other tests use. */
const releases = ['trixie', 'sid']

const tests = ['src/planes/ovn', 'test/conformance/ovn.test.ts', 'test/e2e/ovn']

/** Of vitest's JSON report. */
interface Report {
  readonly success: boolean
  readonly numPassedTests: number
  readonly numPendingTests: number
  readonly testResults: readonly {
    readonly message: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly fullName: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

/** All tests of the OVN plane against the OVN of other releases of Debian. */
export const ovnReleases: Show = {
  about: 'the OVN plane against the OVN of newer releases of Debian: units, conformance and networks',
  missing: ovnMissing,
  onlyInFull: 'it downloads whole releases',
  async run() {
    const figures: Record<string, string> = {}
    for (const name of releases) {
      using release = new OvnRelease(name)
      const [version = ''] = (await release.run('ovn-northd', '--version')).split('\n')
      const vitest = `vitest run --project apart --project unit --reporter=json --outputFile=/tmp/report ${tests.join(' ')}`
      // Its exit says no more than the report.
      await release.run('sh', '-c', `${vitest} || true`)
      const report = JSON.parse(await release.run('cat', '/tmp/report')) as Report
      if (!report.success) throw new Error(`${version}: ${failures(report).join('\n')}`)
      figures[`${name}, ${version}`] =
        `${report.numPassedTests} tests passed, ${report.numPendingTests} left out`
    }
    return figures
  },
}

const failures = ({ testResults }: Report): readonly string[] =>
  testResults.flatMap(({ message, assertionResults }) => [
    ...(message === '' ? [] : [message]),
    ...assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => `${fullName}: ${failureMessages.join('; ')}`),
  ])
