import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Installation } from '../../testbed/spine/installation.ts';
import { writeHistory } from '../control-plane/history.ts';
import { load } from '../control-plane/load.ts';
import { makeInstances, makeTransfers } from '../control-plane/small-instances.ts';
import { residentOf } from '../measure.ts';
import { atMost, type Scenario, type Verdict } from '../scenario.ts';
import { percentile } from '../statistics.ts';

const MIB = 1_048_576;
const SAMPLE_MS = 2_000;
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
      const end = performance.now() + minutes * 60_000;
      const samples = { api: [] as number[], worker: [] as number[] };
      const watch = async (): Promise<void> => {
        while (performance.now() < end) {
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
      const reading = load(installation, { requests, clients: CLIENTS, seconds: minutes * 60, rate: RATE });
      const [read] = await Promise.all([reading, watch(), ...running.map(execute)]);
      const verdicts: Verdict[] = [];
      const rows = roles.map((role) => {
        const tenths = Array.from({ length: 10 }, (_, nth) => tenthOf(samples[role], nth));
        const growth = percentile(tenths.slice(8), 0.5) / percentile(tenths.slice(2, 4), 0.5);
        verdicts.push(atMost(`${role}: last fifth at most 1.1 times the second`, 1.1, growth, 'x'));
        return [role, ...tenths.map((mib) => mib.toFixed(0))];
      });
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
        notes: [`Meanwhile ${read.all.length} requests were answered and ${executed} executions completed.`],
      };
    } finally {
      await installation.stop();
    }
  },
};

/** Median of the nth tenth of samples. */
function tenthOf(samples: readonly number[], nth: number): number {
  const at = (tenths: number): number => Math.floor((samples.length * tenths) / 10);
  return percentile(samples.slice(at(nth), at(nth + 1)), 0.5);
}
