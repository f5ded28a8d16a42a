import { tcpSuite } from '../tcpSuite.ts'
import { portable } from './transport.ts'

tcpSuite('portable', () => portable)
