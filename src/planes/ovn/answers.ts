import type { Flow, VirtualService } from '../plane.ts'
import { forcesSnat, sourceTranslated } from './routerAdvice.ts'
import type { RouterRow } from './logicalRows.ts'
import { switchesNear } from './neighbourhood.ts'
import { pathTo, type Hop } from './path.ts'
import type { Topology } from './topology.ts'

/** How answers find back to where they are translated. */
export function answersText(
  hop: Hop,
  flow: Flow,
  spec: VirtualService,
  topology: Topology,
): readonly string[] {
  const own = spec.destinations.find(({ address }) => address === flow.source)
  if (hop.kind === 'switch') {
    return [
      `Answers return to switch ${hop.row.name}, which translates them back; backends see ${flow.source}.`,
      ...(own === undefined
        ? []
        : [
            `The client is backend ${own.id} itself; where it is chosen, it sees ${spec.ovn?.hairpin_snat_ip ?? spec.address} as the client.`,
          ]),
    ]
  }
  return [routerAnswers(hop.row, flow, spec, topology)]
}

function routerAnswers(
  router: RouterRow,
  { source }: Flow,
  spec: VirtualService,
  topology: Topology,
): string {
  if (topology.kindOf(router) === 'gateway') {
    if (forcesSnat(router, spec)) {
      const by = spec.ovn?.force_snat ?? router.options.get('lb_force_snat_ip')
      return `Backends see an address of router ${router.name} (lb_force_snat_ip ${by}), so answers return to it.`
    }
    if (sourceTranslated(topology, router, source)) {
      return `A SNAT rule of router ${router.name} takes the client's address, so backends see the router's and answers return to it.`
    }
  }
  const backends = new Set(spec.destinations.map(({ address }) => address))
  const servers = switchesNear(topology, [{ kind: 'router', row: router }], backends)
  const past = servers.filter(
    (row) =>
      pathTo(topology, { row, from: 'endpoint' }, source, (hop) => hop.row.uuid === router.uuid).end.kind !==
      'stopped',
  )
  if (past.length === 0)
    return `Answers return by router ${router.name}, which translates them back; backends see ${source}.`
  return `Answers from switch ${past.map(({ name }) => name).join(', ')} go past router ${router.name} and are not translated back; the client gets no answer.`
}
