import { streamSuite } from '../streamSuite.ts'
import { PortableStreams } from './stream.ts'

streamSuite('portable', (options) => new PortableStreams(options))
