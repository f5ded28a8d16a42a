import { it } from 'vitest'
import { ovnMissing } from '../../lab/ovn/ovn.ts'
import { OvnPlane } from '../../src/planes/ovn/plane.ts'
import { conformance } from './suite.ts'
import { ovnWorld } from './worlds/ovn.ts'

const name = 'ovn'
const missing = ovnMissing()
const log = { info() {}, warn() {} }

if (missing === null) {
  conformance(
    name,
    () => ovnWorld(),
    async ({ lab }) =>
      new OvnPlane({
        northbound: [lab.nbAddress],
        southbound: [lab.sbAddress],
        owner: 'torb',
        vswitchd: lab.chassis.map(({ vswitchd }) => vswitchd.unixctl),
        log,
      }),
  )
} else {
  it(name, ({ skip }) => skip(missing))
}
