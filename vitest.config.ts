import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes a minute or more, longest first. */
const longest = [
  'libvirt/test/conformance-ssh.libvirt.test.ts',
  'engine/test/takeover.test.ts',
  'spine/root.test.ts',
  'libvirt/test/history.libvirt.test.ts',
  'engine/test/token-chain.test.ts',
  'cli/test/end-to-end.test.ts',
  'libvirt/test/conformance-socket-qcow2.libvirt.test.ts',
  'server/test/server.test.ts',
  'libvirt/test/conformance-socket-raw.libvirt.test.ts',
  'spine/trouble.test.ts',
  'spine/former-writer.test.ts',
  'engine/test/rounds.test.ts',
  'engine/test/crash.test.ts',
  'libvirt/test/source.libvirt.test.ts',
  'engine/test/pools.test.ts',
  'openstack/faults.testbed.ts',
  'openstack/identity.testbed.ts',
];

/**
 * A file that takes minutes and begins last leaves all but one core idle. Durations of former runs are not there in a fresh
 * clone, and without them the size of a file decides, which says little.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = longest.findIndex((name) => moduleId.endsWith(`/${name}`));
      return at === -1 ? longest.length : at;
    };
    return (await super.sort(files)).toSorted((one, other) => place(one) - place(other));
  }
}

const shared = {
  pool: 'forks' as const,
  // Real servers, real disks: slow machines are ordinary. Nothing asserts on time; this only ends what hangs.
  testTimeout: 120_000,
  hookTimeout: 120_000,
  teardownTimeout: 20_000,
  // Many servers at once, and emulated guests beside them: none of the workers is to starve.
  env: { GODWIT_WORKER_NICENESS: '0' },
};

const clouds = {
  ...shared,
  globalSetup: ['testbed/openstack/global-setup.ts'],
  testTimeout: 900_000,
  hookTimeout: 900_000,
};
/** Suites that wait more than they compute and disturb nobody: two at a time, after all others. */
const patient = ['testbed/openstack/faults.testbed.ts', 'testbed/openstack/identity.testbed.ts'];
const twoAtATime = { maxWorkers: 2, sequence: { groupOrder: 1 } };

/**
 * `unit`: needs only programs; `libvirt`: needs root and libvirt; `testbed`: whole systems with booting
 * guests; `clouds`: the same between two OpenStack clouds, which it starts; `clouds-beside`: what can go on there at once.
 */
export default defineConfig({
  test: {
    // Tests wait for servers more than they compute: with four files at once neither of two cores is idle.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
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
          ...twoAtATime,
        },
      },
      {
        test: {
          ...clouds,
          name: 'clouds',
          include: ['testbed/openstack/*.testbed.ts'],
          exclude: ['**/node_modules/**', ...patient],
          fileParallelism: false,
        },
      },
      {
        test: {
          ...clouds,
          name: 'clouds-beside',
          include: patient,
          exclude: ['**/node_modules/**'],
          ...twoAtATime,
        },
      },
    ],
  },
});
