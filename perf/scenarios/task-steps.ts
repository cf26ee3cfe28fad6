import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@godwit/store';
import { sql } from 'kysely';
import { Installation } from '../../testbed/spine/installation.ts';
import { latencyCells, serverMedian, serverTimes } from '../control-plane/load.ts';
import { makeInstances, makeTransfers } from '../control-plane/small-instances.ts';
import { atMost, type Scenario } from '../scenario.ts';
import { percentile } from '../statistics.ts';

const ROUTE = /method="POST",route="\/v1\/transfers\/:transfer_id\/executions"/;

/** From a request to the last task of an execution, one after the other. */
export const taskSteps: Scenario = {
  id: 'C2',
  title: 'Starting executions, and the steps between their tasks',
  async run(bench) {
    const count = bench.quick ? 20 : 200;
    const installation = await Installation.start();
    try {
      const [from, to] = [join(bench.folder, 'c2-from'), join(bench.folder, 'c2-to')];
      mkdirSync(to);
      const instances = makeInstances(from, count);
      const origin = await installation.endpoint('from', 'image', { path: from });
      const destination = await installation.endpoint('to', 'image', { path: to });
      const transfers = await makeTransfers(installation, { origin, destination }, instances);
      const walls: number[] = [];
      const posts: number[] = [];
      const before = await serverTimes(installation, ROUTE);
      for (const transfer of transfers) {
        const begun = performance.now();
        const route = await installation.execute(transfer);
        posts.push(performance.now() - begun);
        for (;;) {
          const { status } = await installation.get<{ status: string }>('GET', route, 'execution');
          if (status === 'COMPLETED') break;
          if (status !== 'RUNNING') throw new Error(`${route} ended ${status}`);
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        walls.push(performance.now() - begun);
      }
      const inServer = serverMedian(before, await serverTimes(installation, ROUTE));
      const steps = await readSteps(installation);
      const [light, heavy] = [of(steps, false), of(steps, true)];
      return {
        id: taskSteps.id,
        title: taskSteps.title,
        heats: [],
        tables: [
          {
            title: `${count} executions one after the other`,
            setting: 'seven tasks each, one disk of 1 MiB, folder to folder; times in ms',
            head: ['what', 'p50', 'p99', 'slowest'],
            rows: [
              ['POST execution, seen by the client', ...latencyCells(posts)],
              ['from the request until the first task begins', ...latencyCells(of(steps, undefined))],
              ['from a task’s end until the next one begins, same worker', ...latencyCells(light)],
              [
                'the same, from DEPLOY_TRANSFER_DISKS to REPLICATE_DISKS, which any worker may take',
                ...latencyCells(heavy),
              ],
              [
                'from a light task’s beginning to the next one’s, the task itself included',
                ...latencyCells(await readBeats(installation)),
              ],
              ['the whole execution, from the request until the client sees its end', ...latencyCells(walls)],
            ],
          },
        ],
        verdicts: [
          atMost('POST execution < 5 ms in the server, p50', 5, inServer, ' ms'),
          atMost('task transition < 10 ms, p50, same worker', 10, percentile(light, 0.5), ' ms'),
          atMost('task transition < 10 ms, p50, through a queue', 10, percentile(heavy, 0.5), ' ms'),
        ],
        notes: [
          'Transitions are read from the database: `finished_at` of the last task that was waited for, `started_at` of the one that waited.',
        ],
      };
    } finally {
      await installation.stop();
    }
  },
};

interface Step {
  ms: number;
  /** Undefined: the first task, counted from the request. */
  queued: boolean | undefined;
}

const of = (steps: readonly Step[], queued: boolean | undefined): number[] =>
  steps.filter((step) => step.queued === queued).map((step) => step.ms);

async function readSteps(installation: Installation): Promise<Step[]> {
  return read(installation, async (db) => {
    const { rows } = await sql<{ ms: number; type: string; first: boolean }>`
      select extract(epoch from task.started_at - coalesce(max(before.finished_at), execution.created_at))::float8 * 1000 as ms,
        task.task_type as type, max(before.id) is null as first
      from task join execution on execution.id = task.execution_id
      left join task before on before.execution_id = task.execution_id and task.depends_on ? before.id
      where task.started_at is not null
      group by task.id, execution.id`.execute(db);
    return rows.map(({ first, ms, type }) => ({ ms, queued: first ? undefined : type === 'REPLICATE_DISKS' }));
  });
}

/** GET_INSTANCE_INFO to VALIDATE_TRANSFER_DESTINATION_INPUTS: work of a few milliseconds in between. */
async function readBeats(installation: Installation): Promise<number[]> {
  return read(installation, async (db) => {
    const { rows } = await sql<{ ms: number }>`
      select extract(epoch from task.started_at - before.started_at)::float8 * 1000 as ms from task
      join task before on before.execution_id = task.execution_id and task.depends_on ? before.id
      where task.task_type = 'VALIDATE_TRANSFER_DESTINATION_INPUTS'`.execute(db);
    return rows.map((row) => row.ms);
  });
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
