import { readFile, stat } from 'node:fs/promises'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ConfiguredService } from '../../control/control.ts'
import type { DaemonOptions } from '../../model/daemon.ts'
import type { FunctionName, FunctionSpec } from '../../model/function.ts'
import type { BackendId, ServiceId } from '../../model/names.ts'
import { offsetOf, type ConfigResult, type Format } from './config.ts'
import { positionAt, report } from './excerpt.ts'

/** About 70,000 backends in YAML. */
const maxBytes = 4 * 1024 * 1024
const maxParseMs = 60_000

export interface LoadedConfig {
  readonly ok: true
  readonly options: DaemonOptions
  readonly services: readonly ConfiguredService[]
  readonly functions: ReadonlyMap<FunctionName, FunctionSpec>
  /** `file:line:column` of a service or backend. */
  place(service: ServiceId, backend: BackendId | null): string
  /** A message about a service or backend, with its place, its line and a caret. */
  report(service: ServiceId, backend: BackendId | null, message: string): string
}

export type ConfigFileResult = LoadedConfig | { readonly ok: false; readonly errors: readonly string[] }

const formats: Readonly<Record<string, Format>> = {
  '.yaml': 'yaml',
  '.yml': 'yaml',
  '.json': 'json',
  '.toml': 'toml',
}

/** Reads a configuration file; the ending of its name says whether it is YAML, JSON or TOML. Never rejects. */
export async function readConfigFile(path: string): Promise<ConfigFileResult> {
  const refuse = (cause: string): ConfigFileResult => ({ ok: false, errors: [`${path}: ${cause}`] })
  const format = formats[extname(path).toLowerCase()]
  if (format === undefined)
    return refuse('the name of a configuration file ends in .yaml, .yml, .json or .toml')
  let text: string
  try {
    const { size } = await stat(path)
    if (size > maxBytes)
      return refuse(`${size} bytes are more than the ${maxBytes} that a configuration may have`)
    const bytes = await readFile(path)
    if (bytes.length > maxBytes)
      return refuse(`more than the ${maxBytes} bytes that a configuration may have`)
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return refuse('is not UTF-8 text')
    return refuse(`cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  const result = await parseAside(text, format, path)
  if (!result.ok) return result
  const { options, services, functions, places } = result
  return {
    ok: true,
    options,
    services,
    functions,
    place: (service, backend) => {
      const { line, column } = positionAt(text, offsetOf(places, service, backend))
      return `${path}:${line}:${column}`
    },
    report: (service, backend, message) => report(path, text, offsetOf(places, service, backend), message),
  }
}

/** In a thread: 1 MB of YAML takes more than a second, in which a daemon must go on answering. */
async function parseAside(text: string, format: Format, file: string): Promise<ConfigResult> {
  const worker = new Worker(new URL('parseWorker.ts', import.meta.url), {
    workerData: { text, format, file },
    execArgv: [],
  })
  const limit = setTimeout(() => void worker.terminate(), maxParseMs)
  try {
    return await new Promise<ConfigResult>((resolve) => {
      const fail = (cause: string): void => resolve({ ok: false, errors: [`${file}: ${cause}`] })
      worker.on('message', resolve)
      worker.on('error', (error) =>
        fail(`cannot be parsed: ${error instanceof Error ? error.message : String(error)}`),
      )
      worker.on('exit', () => fail(`not parsed within ${maxParseMs / 1000} s: make it smaller`))
    })
  } finally {
    clearTimeout(limit)
    await worker.terminate()
  }
}
