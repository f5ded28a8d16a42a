import { defineConfig } from 'vitest/config'

/** Those whose traffic stays inside User-Mode Linux: they run beside the others (test/all.sh). */
const inOtherKernel = [
  'lab/uml/*.test.ts',
  'test/conformance/*.uml.test.ts',
  'test/shows/*.uml.test.ts',
  'test/e2e/ipvs*.test.ts',
  'test/e2e/packagingIpvs.test.ts',
]

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          isolate: false,
          environment: 'node',
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/**/*.test.ts', 'lab/**/*.test.ts', 'bench/**/*.test.ts'],
          exclude: inOtherKernel,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'kernel',
          include: inOtherKernel,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
