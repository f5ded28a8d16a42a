import { defineConfig } from 'vitest/config'

/** Those that have a kernel, a network or a root file system of their own: they run beside the others (test/all.sh). */
const apart = [
  'lab/uml/*.test.ts',
  'test/conformance/*.uml.test.ts',
  'test/shows/*.uml.test.ts',
  'test/e2e/ipvs*.test.ts',
  'test/e2e/packaging{Ipvs,Deb,Image}.test.ts',
  'lab/ovn/*.test.ts',
  'test/conformance/ovn.test.ts',
  'test/e2e/ovn*.test.ts',
]

export default defineConfig({
  test: {
    // A loaded machine may hold up a test of real daemons; what needed it is told, and not hidden.
    retry: process.env['CI'] === undefined ? 0 : 1,
    reporters: ['default', './test/flaky.ts'],
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
          exclude: apart,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'apart',
          include: apart,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
