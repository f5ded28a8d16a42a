import { describeReduced } from './reduced.ts'

describeReduced(false)
