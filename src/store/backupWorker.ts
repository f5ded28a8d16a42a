import { workerData } from 'node:worker_threads'
import { backupStore } from './backup.ts'

const { dir, file } = workerData as { dir: string; file: string }
backupStore(dir, file)
