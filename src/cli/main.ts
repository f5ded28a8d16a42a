import packageJson from '../../package.json' with { type: 'json' }
import { commands } from './index.ts'
import { processIo } from './processIo.ts'
import { runCommandLine } from './run.ts'

process.exitCode = await runCommandLine(process.argv.slice(2), commands, packageJson.version, processIo())
