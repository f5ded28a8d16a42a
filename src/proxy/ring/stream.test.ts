import { streamSuite } from '../streamSuite.ts'
import { driven } from './driven.ts'
import { RingStream } from './stream.ts'

streamSuite('ring', async (options) => driven(await RingStream.open(options)))
