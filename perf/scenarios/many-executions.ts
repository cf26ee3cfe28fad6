import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@godwit/store';
import { sql } from 'kysely';
import { Installation } from '../../testbed/spine/installation.ts';
import { latencyCells, load, serverMedian, serverTimes } from '../control-plane/load.ts';
import { execution, makeInstances, makeTransfers } from '../control-plane/small-instances.ts';
import { cpuSecondsOf, peakOf } from '../measure.ts';
import { atLeast, atMost, type Scenario } from '../scenario.ts';
import { percentile } from '../statistics.ts';

const ROUTE = /method="POST",route="\/v1\/transfers\/:transfer_id\/executions"/;
const MIB = 1_048_576;

/** Very many executions at once: nine tenths from one source, the last tenth from another one. */
export const manyExecutions: Scenario = {
  id: 'C3',
  title: 'A thousand executions at once',
  async run(bench) {
    const count = bench.quick ? 60 : 1_000;
    const installation = await Installation.start();
    try {
      const folders = ['c3-big', 'c3-small', 'c3-late', 'c3-to'].map((name) => join(bench.folder, name));
      for (const folder of folders) mkdirSync(folder);
      const [big = '', small = '', late = '', to = ''] = folders;
      const destination = await installation.endpoint('to', 'image', { path: to });
      const make = async (folder: string, prefix: string, many: number): Promise<string[]> => {
        const origin = await installation.endpoint(prefix, 'image', { path: folder });
        return makeTransfers(installation, { origin, destination }, makeInstances(folder, many, prefix));
      };
      const many = await make(big, 'big', count * 0.9);
      const few = await make(small, 'small', count * 0.1);
      const latecomers = await make(late, 'late', bench.quick ? 5 : 50);
      const [worker = 0] = installation.pids('worker');
      const [api = 0] = installation.pids('api');
      const cpuBefore = cpuSecondsOf(worker);
      const before = await serverTimes(installation, ROUTE);
      const begun = performance.now();
      const requests = [...many, ...few].map((transfer) => execution('post', transfer));
      const posted = await load(installation, { requests, clients: 8, seconds: 0, once: true });
      const inServer = serverMedian(before, await serverTimes(installation, ROUTE));
      const queued = await serverTimes(installation, ROUTE);
      const reads: number[] = [];
      const beside: number[] = [];
      let left = count;
      while (left > 0) {
        const asked = performance.now();
        await installation.get('GET', '/transfers?limit=25', 'transfers');
        reads.push(performance.now() - asked);
        const latecomer = left > count / 5 ? latecomers.pop() : undefined;
        if (latecomer !== undefined) {
          const begun = performance.now();
          await installation.execute(latecomer);
          beside.push(performance.now() - begun);
        }
        left = await read(installation, async (db) => {
          const { rows } = await sql<{
            left: number;
          }>`select count(*) as left from execution where finished_at is null`.execute(db);
          return rows[0]?.left ?? 0;
        });
        await sleep(250);
      }
      const seconds = (performance.now() - begun) / 1_000;
      const besideInServer = serverMedian(queued, await serverTimes(installation, ROUTE));
      const runs = await readRuns(installation);
      const completed = runs.filter((run) => run.status === 'COMPLETED').length;
      const places = runs.filter((run) => run.origin === 'small').map((run) => run.place);
      const overtaken = overtaking(runs.filter((run) => run.origin === 'big').map((run) => run.place));
      return {
        id: manyExecutions.id,
        title: manyExecutions.title,
        heats: [],
        tables: [
          {
            title: `${count} executions`,
            setting: `one disk of 1 MiB each, folder to folder, one worker that copies four at once; ${count * 0.9} of one source are queued first, then ${count * 0.1} of another`,
            head: ['what', 'p50', 'p99', 'slowest'],
            rows: [
              ['POST execution while 8 clients queue them, ms', ...latencyCells(posted.all)],
              ['POST execution of a third source while they run, one at a time, ms', ...latencyCells(beside)],
              ['first page of transfers while they run, ms', ...latencyCells(reads)],
              [
                'places by which a copy began later than its turn, same source',
                ...[0.5, 0.99, 1].map((part) => percentile(overtaken, part).toFixed(0)),
              ],
              [
                `place in which a copy of the second source began, of ${count}`,
                ...[0.5, 0.99, 1].map((part) => percentile(places, part).toFixed(0)),
              ],
            ],
          },
        ],
        verdicts: [
          atLeast('all of them complete', count, completed, ''),
          atMost('POST execution < 5 ms in the server, p50, while eight clients queue them', 5, inServer, ' ms'),
          atMost(
            'POST execution < 5 ms in the server, p50, one at a time beside those queued',
            5,
            besideInServer,
            ' ms',
          ),
          atMost(
            'fair: half of the second source begins within the first half of all',
            count / 2,
            percentile(places, 0.5),
            '',
          ),
          atMost('in order: overtaken by at most 16 places, p99', 16, percentile(overtaken, 0.99), ''),
        ],
        notes: [
          `All were accepted in ${posted.seconds.toFixed(1)} s (${(count / posted.seconds).toFixed(0)}/s) and complete after ${seconds.toFixed(1)} s: ${(count / seconds).toFixed(1)} executions, ${((count * 7) / seconds).toFixed(0)} tasks a second; the worker took ${(cpuSecondsOf(worker) - cpuBefore).toFixed(1)} s of CPU.`,
          `Peak memory: worker ${(peakOf(worker) / MIB).toFixed(0)} MiB, API ${(peakOf(api) / MIB).toFixed(0)} MiB.`,
        ],
      };
    } finally {
      await installation.stop();
    }
  },
};

interface Run {
  origin: string;
  status: string;
  /** In the order in which copies began, 1 and up. */
  place: number;
}

/** In the order in which they were asked for. */
function readRuns(installation: Installation): Promise<Run[]> {
  return read(installation, async (db) => {
    const { rows } = await sql<Run>`
      select endpoint.name as origin, execution.status, row_number() over (order by task.started_at)::integer as place
      from execution join transfer on transfer.id = action_id join endpoint on endpoint.id = origin_endpoint_id
      join task on task.execution_id = execution.id and task.task_type = 'REPLICATE_DISKS'
      where endpoint.name <> 'late'
      order by execution.created_at`.execute(db);
    return rows;
  });
}

/** For each place in turn by how many it comes after those that were behind it. */
function overtaking(places: readonly number[]): number[] {
  const turns = [...places].sort((a, b) => a - b);
  return places.map((place, nth) => Math.max(0, turns.indexOf(place) - nth));
}

async function read<T>(
  installation: Installation,
  query: (db: ReturnType<typeof connect>['db']) => Promise<T>,
): Promise<T> {
  const connection = connect(installation.databaseUrl(), { max: 1 });
  try {
    return await query(connection.db);
  } finally {
    await connection.close();
  }
}
