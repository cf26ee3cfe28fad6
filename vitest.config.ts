import { defineConfig } from 'vitest/config';

const shared = {
  pool: 'forks' as const,
  // Real servers, real disks: slow machines are ordinary. Nothing asserts on time; this only ends what hangs.
  testTimeout: 120_000,
  hookTimeout: 120_000,
  teardownTimeout: 20_000,
};

/**
 * `unit`: needs only programs; `libvirt`: needs root and libvirt; `testbed`: whole systems with booting
 * guests; `clouds`: the same between two OpenStack clouds, which it starts.
 */
export default defineConfig({
  test: {
    // Tests wait for servers more than they compute: three keep two cores busy.
    maxWorkers: 3,
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: [
            'packages/**/test/**/*.test.ts',
            'testbed/**/*.test.ts',
            'perf/test/**/*.test.ts',
            'tools/test/**/*.test.ts',
          ],
          exclude: ['**/node_modules/**', '**/*.libvirt.test.ts'],
        },
      },
      {
        test: {
          ...shared,
          name: 'libvirt',
          include: ['packages/**/test/**/*.libvirt.test.ts', 'testbed/**/*.libvirt.test.ts'],
          exclude: ['**/node_modules/**'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          ...shared,
          name: 'testbed',
          include: ['testbed/**/*.testbed.ts'],
          exclude: ['**/node_modules/**', 'testbed/openstack/**'],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...shared,
          name: 'clouds',
          include: ['testbed/openstack/*.testbed.ts'],
          exclude: ['**/node_modules/**'],
          globalSetup: ['testbed/openstack/global-setup.ts'],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
