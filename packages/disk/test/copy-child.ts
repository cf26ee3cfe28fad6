// A process that copies one file to another, writes a line at each commit, and is killed by its test at any moment.
// Arguments: source, target, store, fence, execution, bytes of the source.
import { FileCheckpointStore, runCopyJob } from '../src/index.ts';

const [source, target, path, fence, execution, size] = process.argv.slice(2);
const store = await FileCheckpointStore.open(path!, Number(fence));
const commit = store.commit.bind(store);
store.commit = async (progress, groups) => {
  await commit(progress, groups);
  process.stdout.write('commit\n');
};
const result = await runCopyJob(
  {
    source: { kind: 'file', path: source!, readOnly: true },
    target: { kind: 'file', path: target!, readOnly: false },
    plan: {
      mode: 'compare',
      audit: 'none',
      verify: 'whole',
      executionNumber: Number(execution),
      snapshotKey: `s${execution}`,
      targetZeroed: false,
      size: Number(size),
    },
    limits: { window: { bytes: 4_194_304 } },
  },
  { store, signal: new AbortController().signal },
);
await store.complete({ number: Number(execution), size: result.size });
process.stdout.write(`counters ${JSON.stringify(result.counters)}\n`);
await store.close();
