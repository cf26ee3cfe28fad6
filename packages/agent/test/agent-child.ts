// A worker that copies a file to a minion's disk, says when it commits, and is killed by its test at any moment.
// Arguments: request (JSON), source, store, fence.
import { FileCheckpointStore, runCopyJob } from '@godwit/disk';
import { type AgentRequest, pushAgent } from '../src/index.ts';

const [request, source, path, fence] = process.argv.slice(2);
const signal = new AbortController().signal;
const agent = await pushAgent({ ...(JSON.parse(request!) as AgentRequest), signal });
const store = await FileCheckpointStore.open(path!, Number(fence));
const commit = store.commit.bind(store);
store.commit = async (progress, groups) => {
  await commit(progress, groups);
  process.stdout.write('commit\n');
};
await runCopyJob(
  {
    source: { kind: 'file', path: source!, readOnly: true },
    target: agent.addresses.vda!,
    plan: {
      mode: 'compare',
      audit: 'none',
      verify: 'whole',
      executionNumber: 1,
      snapshotKey: 's1',
      targetZeroed: false,
    },
    limits: { window: { bytes: 4_194_304 } },
  },
  { store, signal },
);
process.stdout.write('done\n');
await store.close();
await agent.close();
