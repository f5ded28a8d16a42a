import { laggards, type Progress } from './confirmations.ts'
import type { View } from './view.ts'
import { currentNumber } from './writer.ts'

/** How far OVN has come with what is written. */
export function progressOf({ northbound, southbound }: View): Progress {
  const [global] = northbound.rows('NB_Global').values()
  const chassis = southbound.rows('Chassis_Private').values()
  return {
    sb: global?.sb_cfg ?? 0,
    hv: global?.hv_cfg ?? 0,
    chassis: southbound.state.connected
      ? new Map(Array.from(chassis, ({ name, nb_cfg }) => [name, nb_cfg]))
      : null,
  }
}

/** @param northdBehind milliseconds since the epoch since when northd has not followed; 0: it has */
export function factsOf(
  view: View,
  writer: boolean,
  northdBehind: number,
  unconfirmed: number,
): Readonly<Record<string, unknown>> {
  const { northbound, southbound, owner, lacking } = view
  const [global] = northbound.rows('NB_Global').values()
  const number = currentNumber(northbound)
  const progress = progressOf(view)
  const chassis = southbound.rows('Chassis_Private').values()
  return {
    owner,
    writer,
    northbound: northbound.state,
    southbound: southbound.state,
    nb_cfg: number,
    sb_cfg: progress.sb,
    hv_cfg: progress.hv,
    nb_cfg_timestamp: global?.nb_cfg_timestamp ?? 0,
    sb_cfg_timestamp: global?.sb_cfg_timestamp ?? 0,
    hv_cfg_timestamp: global?.hv_cfg_timestamp ?? 0,
    lagging: laggards(number, progress),
    northd:
      northdBehind === 0
        ? 'follows'
        : `has not followed since ${new Date(northdBehind).toISOString()}: see whether ovn-northd runs`,
    chassis: Array.from(chassis, ({ name, nb_cfg, nb_cfg_timestamp = 0 }) => ({
      name,
      nb_cfg,
      nb_cfg_timestamp,
    })),
    unconfirmed,
    cannot_select_by: [...lacking],
  }
}
