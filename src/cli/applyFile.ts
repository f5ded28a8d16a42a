import type { ConfiguredService } from '../control/control.ts'
import type { BackendOptions } from '../model/backend.ts'
import { Refusal } from '../model/refusal.ts'
import type { ServiceOptions } from '../model/service.ts'
import { CommandError, exit } from './exit.ts'
import { readInventory, type WireServiceInFull } from './inventory.ts'
import { planSteps, type HeldService, type Step } from './steps.ts'
import type { FlagTable } from './goFlags.ts'
import { apiFlags, type Rest } from './rest.ts'
import { paint, printable, type Style } from './table.ts'

export const planFlags = {
  ...apiFlags,
  prune: {
    kind: 'boolean',
    about:
      'also deletes services, and backends of services, that the file does not name; those of the configuration file of the daemon stay',
    default: false,
  },
} as const satisfies FlagTable

/** What a file wants of this Torb. */
export interface FilePlan {
  /** The steps from what this Torb holds to what the file wants. */
  readonly steps: readonly Step[]
  /** The services that it names, as this Torb held them then. */
  readonly held: readonly WireServiceInFull[]
  readonly named: ReadonlySet<string>
}

/** @throws CommandError with the file's lines */
export async function planFile(rest: Rest, file: string, prune: boolean): Promise<FilePlan> {
  const wanted = await readWanted(file)
  const services = await readInventory(rest)
  const held = new Map(services.map((service) => [service.id, heldService(service)]))
  const named = new Set(wanted.map(({ id }) => id))
  try {
    return { steps: planSteps(held, wanted, prune), held: services.filter(({ id }) => named.has(id)), named }
  } catch (error) {
    if (error instanceof Refusal)
      throw new CommandError(exit.data, `${file}: ${error.message}`, { cause: error })
    throw error
  }
}

async function readWanted(file: string): Promise<readonly ConfiguredService[]> {
  // Parsers of three formats: only where a file is read.
  const { readConfigFile } = await import('../sources/file/file.ts')
  const result = await readConfigFile(file)
  if (!result.ok) throw new CommandError(exit.data, result.errors.join('\n'))
  return result.services
}

function heldService({ options, owner, backends }: WireServiceInFull): HeldService {
  return {
    // The shape of the answers is wider than the options: it is these that the daemon fills it from.
    options: options as unknown as ServiceOptions,
    configured: owner === 'file',
    backends: new Map(
      backends.map(({ id, options: { max_weight: weight, ...rest } }) => [
        id,
        { ...rest, weight } as unknown as BackendOptions,
      ]),
    ),
  }
}

const signs = { PUT: ['+', 'green'], PATCH: ['~', 'yellow'], DELETE: ['-', 'red'] } as const satisfies Record<
  Step['method'],
  readonly [string, Style]
>

/** One line for people. */
export function stepLine({ method, path, what }: Step, colour: boolean): string {
  const [sign, style] = signs[method]
  const text = printable(`${sign} ${decodeURIComponent(path).replace('/service/', '')}: ${what}`)
  return colour ? paint(style, text) : text
}
