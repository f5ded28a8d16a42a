import { churn } from './churn.ts'
import { consul } from './consul.ts'
import { etcd } from './etcd.ts'
import { feedback } from './feedback.ts'
import { gatewayChurn } from './gateway/churn.ts'
import { gatewayFaults } from './gateway/faults.ts'
import { gatewaySlowloris } from './gateway/slowloris.ts'
import { gatewayTunnels } from './gateway/tunnels.ts'
import { gatewayTwoWorkers } from './gateway/twoWorkers.ts'
import { handsOn } from './handsOn.ts'
import { httpFuzz } from './httpFuzz.ts'
import { ipvsKills } from './ipvs/kills.ts'
import { ipvsOwnership } from './ipvs/ownership.ts'
import { ipvsScale } from './ipvs/scale.ts'
import { kills } from './kills.ts'
import { killWithDown } from './killWithDown.ts'
import { powerCuts } from './powerCuts.ts'
import { ovnArticle } from './ovnArticle.ts'
import { ovnBalance } from './ovnBalance.ts'
import { ovnFaults } from './ovnFaults.ts'
import { ovnHealth } from './ovnHealth.ts'
import { ovnReleases } from './ovnReleases.ts'
import { pulses } from './pulses.ts'
import { scale } from './scale.ts'
import type { Show } from './show.ts'

/** Every claim of the documents that a machine can check, by name: `npm run show NAME`. */
export const shows: Readonly<Record<string, Show>> = {
  'hands-on': handsOn,
  kills,
  'kill-with-down': killWithDown,
  'power-cuts': powerCuts,
  churn,
  pulses,
  scale,
  consul,
  etcd,
  feedback,
  'ovn-article': ovnArticle,
  'ovn-balance': ovnBalance,
  'ovn-health': ovnHealth,
  'ovn-faults': ovnFaults,
  'ovn-releases': ovnReleases,
  'http-fuzz': httpFuzz,
  'gateway-churn': gatewayChurn,
  'gateway-two-workers': gatewayTwoWorkers,
  'gateway-tunnels': gatewayTunnels,
  'gateway-slowloris': gatewaySlowloris,
  'gateway-faults': gatewayFaults,
  'ipvs-kills': ipvsKills,
  'ipvs-scale': ipvsScale,
  'ipvs-ownership': ipvsOwnership,
}
