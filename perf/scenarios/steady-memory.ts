import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Installation } from '../../testbed/spine/installation.ts';
import { writeHistory } from '../control-plane/history.ts';
import { load } from '../control-plane/load.ts';
import { makeInstances, makeTransfers } from '../control-plane/small-instances.ts';
import { residentOf } from '../measure.ts';
import { atMost, type Scenario, type Verdict } from '../scenario.ts';
import { floorGrowth, percentile } from '../statistics.ts';

const MIB = 1_048_576;
const SAMPLE_MS = 2_000;
/** Load before the first sample: what is bounded shall be full, not seen to fill. */
const WARM_MS = 180_000;
/** Reads a second beside the executions. */
const RATE = 200;
const CLIENTS = 8;
/** Transfers that are executed one run after the other, all the time. */
const RUNNING = 4;
const roles = ['api', 'worker'] as const;

/** Whether what serves and works for long grows. */
export const steadyMemory: Scenario = {
  id: 'M2',
  title: 'Memory of API and worker over ten minutes',
  async run(bench) {
    const minutes = bench.quick ? 1 : 10;
    const installation = await Installation.start();
    try {
      const folders = ['m2', 'm2-to'].map((name) => join(bench.folder, name));
      for (const folder of folders) mkdirSync(folder);
      const [from = '', to = ''] = folders;
      const origin = await installation.endpoint('from', 'image', { path: from });
      const destination = await installation.endpoint('to', 'image', { path: to });
      const history = await writeHistory(installation, bench.quick ? 500 : 5_000, { origin, destination });
      const running = await makeTransfers(installation, { origin, destination }, makeInstances(from, RUNNING));
      const paths = [...history.executions.slice(0, 200), '/transfers?limit=25', '/endpoints'];
      const warm = bench.quick ? 10_000 : WARM_MS;
      const end = performance.now() + warm + minutes * 60_000;
      const samples = { api: [] as number[], worker: [] as number[] };
      const inUse: number[] = [];
      const watch = async (): Promise<void> => {
        await sleep(warm);
        while (performance.now() < end) {
          inUse.push((await memoryInUse(installation.url)) / MIB);
          for (const role of roles) samples[role].push(residentOf(installation.pids(role)[0] ?? 0) / MIB);
          await sleep(SAMPLE_MS);
        }
      };
      let executed = 0;
      const execute = async (transfer: string): Promise<void> => {
        while (performance.now() < end) {
          const { status } = await installation.ended(await installation.execute(transfer));
          if (status !== 'COMPLETED') throw new Error(`an execution of transfer ${transfer} ended ${status}`);
          executed += 1;
        }
      };
      const requests = paths.map((path) => ({ label: 'read', path }));
      const reading = load(installation, {
        requests,
        clients: CLIENTS,
        seconds: (end - performance.now()) / 1_000,
        rate: RATE,
      });
      const [read] = await Promise.all([reading, watch(), ...running.map(execute)]);
      const verdicts: Verdict[] = [];
      const rows = roles.map((role) => {
        const tenths = Array.from({ length: 10 }, (_, nth) => tenthOf(samples[role], nth));
        const growth = (tenths[9] ?? Number.NaN) / (tenths[0] ?? Number.NaN);
        verdicts.push(atMost(`${role}: last tenth at most 1.1 times the first`, 1.1, growth, 'x'));
        return [role, ...tenths.map((mib) => mib.toFixed(0))];
      });
      const left = 'api: what collections leave, heap and buffers, last tenth at most 1.1 times the first';
      verdicts.push(atMost(left, 1.1, floorGrowth(inUse), 'x'));
      return {
        id: steadyMemory.id,
        title: steadyMemory.title,
        heats: [],
        tables: [
          {
            title: 'Resident MiB, median of each tenth of the time',
            setting: `${RATE} reads a second from ${CLIENTS} clients over ${history.transfers.length} transfers, ${RUNNING} transfers executed again and again; ${minutes} minutes`,
            head: ['process', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10'],
            rows,
          },
        ],
        verdicts,
        notes: [
          `${warm / 1_000} s of the same load came before, in which compiled code and remembered answers fill their places. Resident memory alone would not show a leak of 1 MiB a minute; what collections leave does.`,
          `Meanwhile ${read.all.length} requests were answered and ${executed} executions completed.`,
        ],
      };
    } finally {
      await installation.stop();
    }
  },
};

/** Bytes of heap and buffers that the API uses, garbage included. */
async function memoryInUse(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const figures = [...metrics.matchAll(/^nodejs_(?:heap_size_used|external_memory)_bytes (\S+)$/gm)].map(([, bytes]) =>
    Number(bytes),
  );
  if (figures.length !== 2) throw new Error('the API does not tell how much memory it uses');
  return (figures[0] ?? 0) + (figures[1] ?? 0);
}

/** Median of the nth tenth of samples. */
function tenthOf(samples: readonly number[], nth: number): number {
  const at = (tenths: number): number => Math.floor((samples.length * tenths) / 10);
  return percentile(samples.slice(at(nth), at(nth + 1)), 0.5);
}
