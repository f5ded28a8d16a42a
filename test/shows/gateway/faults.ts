import { Agent } from 'node:http'
import type { Figures, Show } from '../show.ts'
import { ask, type Got } from './client.ts'
import { ejectionsAndFloor } from './ejections.ts'
import { overTransports, startGateway, startInstances, type RunningGateway } from './processes.ts'
import { until } from '../../../lab/until.ts'

/** What a client gets of an instance that does this (misbehaviour.ts); 'cut': what came before is a part, and seen as such. */
const expected: Readonly<Record<string, number | 'cut'>> = {
  '/slow': 200,
  '/more-than-its-length': 200,
  '/two-answers': 200,
  '/unavailable': 503,
  '/hang': 504,
  '/hang-in-head': 504,
  '/drip-head': 504,
  '/hang-in-body': 'cut',
  '/garbage': 502,
  '/bad-length': 502,
  '/long-head': 502,
  '/close': 502,
  '/close-in-head': 502,
  '/reset': 502,
  '/close-in-body': 'cut',
  '/close-in-chunks': 'cut',
  '/bad-chunks': 502,
  '/reset-in-body': 'cut',
}
/** Beside each other, so that a time-out of each costs the time of one. */
const methods = ['GET', 'POST']
const after = 100
/** Longer than a request waits in the queue below. */
const responseMs = 2000

/** Instances that die, hang, lie and are late: each client gets the right status, and nothing is left behind. */
export const gatewayFaults: Show = {
  about:
    'function gateway: an instance dies, hangs, answers garbage, ends or resets early: right status, clean pools, ejection, queue',
  run: (size) =>
    overTransports(size, async (transport) => {
      const [instances, mortal, gateway] = await Promise.all([
        startInstances(),
        startInstances(),
        startGateway({
          transport,
          workers: transport === 'ring' ? 2 : 1,
          proxy: { responseMs, sweepMs: 20 },
        }),
      ])
      await using _instances = instances
      await using _mortal = mortal
      await using _gateway = gateway
      const ips = [await instances.actor.misbehaving('A', '127.0.0.1')]
      // Ejection has its own part below: here all comes to this one.
      await gateway.actor.put('bad', { ips, weights: [1], ejection: null })
      // Functions of their own beside each other, since each has its time-outs.
      const [answers, , queue, ejections] = await Promise.all([
        statuses(gateway),
        died(gateway, await mortal.actor.misbehaving('M', '127.0.0.1'), ips[0] ?? ''),
        queued(gateway, [await instances.actor.misbehaving('Q', '127.0.0.1')], () =>
          instances.actor.release(),
        ),
        ejectionsAndFloor(gateway, instances.actor, size),
      ])
      return { ...answers, ...queue, ...ejections }
    }),
}

async function statuses(gateway: RunningGateway): Promise<Figures> {
  const { port } = gateway
  const asked = await Promise.all(
    methods.flatMap((method) =>
      Object.entries(expected).map(async ([path, right]) => {
        const body = method === 'POST' ? 'x' : undefined
        const got = await ask(port, `/function/bad${path}`, {
          method,
          ...(body === undefined ? {} : { body }),
        })
        const found = got.cut === '' ? got.status : wasCut(got) ? 'cut' : `${got.status} ${got.cut}`
        if (found !== right) throw new Error(`${method} ${path}: the client got ${found} instead of ${right}`)
        if (right === 200) isRight(path, got, 'A')
      }),
    ),
  )
  await allRight(port, '/function/bad/ok', 'A', `after ${asked.length} faults`)
  // One after the other over the same connection and pool: what one leaves would meet the next.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (const [path, right] of Object.entries(expected)) {
    if (right === 504 || path === '/hang-in-body') continue
    await ask(port, `/function/bad${path}`, { agent })
    for (let index = 0; index < 5; index++)
      isRight(`the request after ${path}`, await ask(port, '/function/bad/ok', { agent }), 'A')
  }
  agent.destroy()
  // A client may have its answer before the Worker has seen that it was sent.
  await until(
    async () => (await gateway.actor.state('bad'))?.instances[0]?.active === 0,
    'the end of all requests that are counted as under way',
  )
  return {
    'faults, each by GET and POST': Object.keys(expected).length,
    'wrong statuses': 0,
    'requests after them that were wrong': 0,
  }
}

/** Its part of an answer may be lost with the reset that ends it. */
const wasCut = ({ status, cut }: Got): boolean =>
  status === 200 || (status === 0 && cut.includes('ECONNRESET'))

/** The only process of an instance is killed under a request: idempotent ones go to another one. */
async function died({ actor, port }: RunningGateway, mortal: string, other: string): Promise<void> {
  await actor.put('mortal', { ips: [mortal, other], weights: [1, 1], ejection: null })
  const got = await ask(port, '/function/mortal/ok')
  isRight('before it dies', got, 'M')
  await ask(port, '/function/mortal/ok')
  const dying = await ask(port, '/function/mortal/die', { method: 'POST' })
  if (dying.status !== 502)
    throw new Error(`POST under which the instance died: ${dying.status} ${dying.cut}`)
  await allRight(port, '/function/mortal/ok', 'A', 'after the death of the other instance')
}

/** One request at a time, two may wait, the rest is told to come again. */
async function queued(
  { actor, port }: RunningGateway,
  ips: readonly string[],
  release: () => Promise<boolean>,
): Promise<Figures> {
  const limits = { in_flight: 1, queue: 2, wait: '20s' }
  await actor.put('one', { ips, weights: [1], limits })
  const asks = Array.from({ length: 4 }, () => ask(port, '/function/one/hold'))
  const refused = await Promise.race(asks)
  isOverloaded('the fourth request', refused)
  const waiting = (await actor.state('one'))?.waiting
  if (waiting !== 2) throw new Error(`${waiting} requests wait instead of 2`)
  for (let left = 3; left > 0; left--) await until(release)
  const served = (await Promise.all(asks)).filter(({ status }) => status === 200)
  if (served.length !== 3) throw new Error(`${served.length} of 3 requests were served`)

  await actor.put('one', { ips, weights: [1], limits: { ...limits, wait: '1s' } })
  const first = ask(port, '/function/one/hold')
  await until(async () => ((await actor.state('one'))?.instances[0]?.active ?? 0) > 0)
  isOverloaded('the one that waited too long', await ask(port, '/function/one/ok'))
  await until(release)
  isRight('the one that was held', await first, 'Q')
  const state = await actor.state('one')
  if (state?.overloaded !== 1 || state.expired !== 1 || state.waiting !== 0)
    throw new Error(`the counters of the queue are wrong: ${JSON.stringify(state)}`)
  return {
    'queue of 2 before 1 place':
      '3 served in turn, 503 with Retry-After for the one beyond and the one too late',
  }
}

function isOverloaded(what: string, { status, headers }: Got): void {
  if (status !== 503 || !/^\d+$/.test(headers['retry-after'] ?? ''))
    throw new Error(`${what} got ${status}, Retry-After ${headers['retry-after']}, instead of 503`)
}

function isRight(what: string, { status, body, cut }: Got, name: string): void {
  if (status !== 200 || cut !== '' || body.toString() !== name)
    throw new Error(`${what}: ${status} ${JSON.stringify(body.toString())} ${cut}`)
}

async function allRight(port: number, path: string, name: string, when: string): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 10 })
  const all = await Promise.all(Array.from({ length: after }, () => ask(port, path, { agent })))
  agent.destroy()
  for (const got of all) isRight(`${path} ${when}`, got, name)
}
