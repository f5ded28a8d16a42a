import { execFile } from 'node:child_process'
import { mkdtempDisposableSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Flow } from '../plane.ts'
import type { OvsdbTls, Uuid } from './ovsdb/ovsdb.ts'

const run = promisify(execFile)

/** The first packet of a flow, as it enters the logical network. */
export interface Microflow {
  /** Of the switch in the northbound database. */
  readonly datapath: Uuid
  /** Name of the logical port. */
  readonly inport: string
  readonly sourceMac: string
  /** Of the router's port or machine that the client sends it to. */
  readonly destinationMac: string
  readonly flow: Flow
}

/** What a trace tells. */
export interface Trace {
  /** Names of switches and routers, in order. */
  readonly passes: readonly string[]
  /** Who balances, with the backends as the flow lists them. */
  readonly balanced: { readonly datapath: string; readonly backends: string } | null
  readonly end:
    | { readonly kind: 'port'; readonly port: string }
    | { readonly kind: 'dropped'; readonly datapath: string; readonly table: string }
    | { readonly kind: 'rejected'; readonly datapath: string }
    | null
}

/** A trace, or why there is none. */
export type Traced =
  | { readonly ok: true; readonly trace: Trace }
  | { readonly ok: false; readonly reason: string }

/** The microflow as an expression of ovn-trace(8). */
export function expressionOf({ inport, sourceMac, destinationMac, flow }: Microflow): string {
  const { source, sourcePort, destination, destinationPort } = flow
  const ip = destination.includes(':') ? 'ip6' : 'ip4'
  // What carries HTTP is TCP.
  const protocol = flow.protocol === 'http' ? 'tcp' : flow.protocol
  return [
    // Names are JSON strings in expressions (ovn-sb(5)).
    `inport == ${JSON.stringify(inport)}`,
    `eth.src == ${sourceMac}`,
    `eth.dst == ${destinationMac}`,
    `${ip}.src == ${source}`,
    `${ip}.dst == ${destination}`,
    'ip.ttl == 64',
    protocol,
    `${protocol}.src == ${sourcePort}`,
    `${protocol}.dst == ${destinationPort}`,
  ].join(' && ')
}

/** How often a packet may meet connection tracking; without so many flags the later ones would count as established. */
const lookups = 12

/** What to run ovn-trace with, but for the files of TLS. */
export const argumentsOf = (addresses: readonly string[], microflow: Microflow): readonly string[] => [
  `--db=${addresses.join(',')}`,
  // A follower knows enough to read.
  '--no-leader-only',
  '--detailed',
  ...Array<string>(lookups).fill('--ct=new'),
  microflow.datapath,
  expressionOf(microflow),
]

/** The lines of a detailed trace that matter. */
export function readTrace(output: string): Trace {
  const passes: string[] = []
  let balanced: Trace['balanced'] = null
  let end: Trace['end'] = null
  let datapath = ''
  let table = ''
  for (const line of output.split('\n').map((text) => text.trim())) {
    const pipeline = /^(ingress|egress)\(dp=("(?:[^"\\]|\\.)*")/.exec(line)
    if (pipeline !== null) {
      datapath = JSON.parse(pipeline[2] ?? '""') as string
      if (pipeline[1] === 'ingress') passes.push(datapath)
    }
    table = /^\d+\. (\w+)/.exec(line)?.[1] ?? table
    const backends = /^ct_lb(?:_mark)?(?:_local)?\((?:backends=)?([^;)]*)/.exec(line)?.[1]
    if (backends !== undefined && backends !== '') balanced ??= { datapath, backends }
    // What answers the client is traced on from here, and is no way to a backend.
    if (/^(?:reject|tcp_reset|icmp[46]_error|icmp[46]|sctp_abort) \{/.test(line)) {
      end = { kind: 'rejected', datapath }
      break
    }
    const port = /^\/\* output to ("(?:[^"\\]|\\.)*"), type "(?:localnet|l2gateway|vtep|virtual)?" \*\//.exec(
      line,
    )
    if (port !== null) end = { kind: 'port', port: JSON.parse(port[1] ?? '""') as string }
    if (line === 'drop;' || line.includes('no match (implicit drop)'))
      end ??= { kind: 'dropped', datapath, table }
  }
  return { passes, balanced, end }
}

/** A trace as a sentence. */
export function traceText({ passes, balanced, end }: Trace): string {
  const way = `ovn-trace passes ${passes.join(', ')}`
  const balances =
    balanced === null ? 'is balanced nowhere' : `is balanced by ${balanced.datapath} (${balanced.backends})`
  const ends = {
    port: end?.kind === 'port' ? `and comes out at port ${end.port}` : '',
    dropped: end?.kind === 'dropped' ? `and is dropped by ${end.datapath} (${end.table})` : '',
    rejected: end?.kind === 'rejected' ? `and is rejected by ${end.datapath}` : '',
  }
  return `${way}, ${balances} ${end === null ? 'and comes out nowhere' : ends[end.kind]}.`
}

export interface TraceOptions {
  /** Of the southbound database. */
  readonly addresses: readonly string[]
  readonly tls?: OvsdbTls
  /** The program; that of PATH where absent. */
  readonly program?: string
  readonly timeoutMs?: number
}

/** Asks ovn-trace, which simulates the logical flows of the southbound database. Never rejects. */
export async function runTrace(
  microflow: Microflow,
  { addresses, tls, program = 'ovn-trace', timeoutMs = 5000 }: TraceOptions,
): Promise<Traced> {
  try {
    using files = tls === undefined ? null : tlsFiles(tls)
    const { stdout } = await run(
      program,
      [...(files?.arguments ?? []), ...argumentsOf(addresses, microflow)],
      {
        timeout: timeoutMs,
        // A trace that waits for the database does not end by SIGTERM alone.
        killSignal: 'SIGKILL',
        maxBuffer: 8 << 20,
      },
    )
    const trace = readTrace(stdout)
    return trace.passes.length > 0
      ? { ok: true, trace }
      : { ok: false, reason: `ovn-trace said: ${firstLine(stdout)}` }
  } catch (error) {
    return { ok: false, reason: reasonOf(error as ExecError, timeoutMs) }
  }
}

interface ExecError extends Error {
  readonly code?: string | number | null
  readonly killed?: boolean
  readonly stderr?: string
}

function reasonOf({ code, killed, stderr = '', message }: ExecError, timeoutMs: number): string {
  if (code === 'ENOENT') return 'ovn-trace is not installed here (Debian: ovn-common)'
  if (code === 'EACCES') return 'ovn-trace may not be run by this user'
  if (killed === true)
    return `ovn-trace had no answer within ${timeoutMs} ms: can this machine reach the southbound database?`
  return `ovn-trace failed: ${firstLine(stderr) || firstLine(message)}`
}

/** Without what ovs-vlog puts before it. */
const firstLine = (text: string): string =>
  (/^[^\n]+/m.exec(text.trim())?.[0] ?? '').replace(/^\S+Z\|\d+\|[^|]*\|[^|]*\|/, '')

/** The program takes files only; they are for the owner alone, and gone with the trace. */
function tlsFiles({ ca, cert, key }: OvsdbTls): Disposable & { readonly arguments: readonly string[] } {
  const place = mkdtempDisposableSync(join(tmpdir(), 'torb-trace-'))
  const file = (name: string, text: string): string => {
    const path = join(place.path, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  try {
    return {
      arguments: [
        `--private-key=${file('key.pem', key)}`,
        `--certificate=${file('cert.pem', cert)}`,
        `--ca-cert=${file('ca.pem', ca)}`,
      ],
      [Symbol.dispose]: () => place.remove(),
    }
  } catch (error) {
    place.remove()
    throw error
  }
}
