import { parentPort, workerData } from 'node:worker_threads'
import { parseConfig, type Format } from './config.ts'

const { text, format, file } = workerData as { text: string; format: Format; file: string }
parentPort?.postMessage(parseConfig(text, format, file), [])
