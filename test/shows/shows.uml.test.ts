import { describeReduced } from './reduced.ts'

describeReduced(true)
