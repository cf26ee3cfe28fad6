import type { TaskType } from '@godwit/domain';
import { type Database, mappedRegions } from '@godwit/store';
import { sql, type Transaction } from 'kysely';
import { DEFAULT_REGION, poolOfWorkflow, QUEUE_CHANNEL, regionQueue, taskWorkflowId } from './contract.ts';
import { wantedRegions } from './placement.ts';

type Trx = Transaction<Database>;

/** A workflow that waits, and the regions that its endpoints are reached from now; none: every worker may take it. */
interface Waiting {
  workflow: string;
  regions: readonly string[];
}

/**
 * Work is queued for a region; when its endpoint is mapped elsewhere afterwards, or the region is deleted or loses its
 * workers while another one of the endpoint has some, it would wait for ever. Sends it to where it would be queued now, and
 * says so in `queues` (by workflow, all of them of work that nobody takes). Only what still waits is moved: a worker that
 * takes it in this moment holds its row.
 */
export async function followRegions(trx: Trx, queues: Map<string, string>, served: ReadonlySet<string>): Promise<void> {
  const moves = new Map<string, string[]>();
  for (const { regions, workflow } of [...(await tasksOf(trx, queues)), ...(await poolsOf(trx, queues))]) {
    const now = queues.get(workflow);
    const allowed = regions.length === 0 ? [DEFAULT_REGION] : regions;
    const best = allowed.find((region) => served.has(region));
    if (best === undefined && allowed.some((region) => regionQueue(region) === now)) continue;
    const queue = regionQueue(best ?? allowed[0]!);
    moves.set(queue, [...(moves.get(queue) ?? []), workflow]);
    queues.set(workflow, queue);
  }
  for (const [queue, workflows] of moves) {
    await sql`update dbos.workflow_status set queue_name = ${queue}
      where workflow_uuid = any(${workflows}) and status = 'ENQUEUED'`.execute(trx);
    await sql`select pg_notify(${QUEUE_CHANNEL}, ${queue})`.execute(trx);
  }
}

async function tasksOf(trx: Trx, queues: ReadonlyMap<string, string>): Promise<Waiting[]> {
  const prefix = taskWorkflowId('');
  const ids = [...queues.keys()].filter((id) => id.startsWith(prefix)).map((id) => id.slice(prefix.length));
  if (ids.length === 0) return [];
  const { rows } = await sql<{ id: string; type: TaskType; origin: string; destination: string }>`
    select task.id, task_type as type, origin_endpoint_id as origin, destination_endpoint_id as destination
    from task join execution on execution.id = execution_id join (
      select id, origin_endpoint_id, destination_endpoint_id from transfer union all
      select id, origin_endpoint_id, destination_endpoint_id from deployment) as action on action.id = action_id
    where task.id = any(${ids})`.execute(trx);
  const mapped = await mappedRegions(trx, 'endpoint', [
    ...new Set(rows.flatMap(({ origin, destination }) => [origin, destination])),
  ]);
  const end = (id: string) => ({ id, regions: mapped.get(id) ?? [] });
  return rows.map(({ id, type, origin, destination }) => ({
    workflow: taskWorkflowId(id),
    regions: wantedRegions(type, { origin: end(origin), destination: end(destination) }),
  }));
}

async function poolsOf(trx: Trx, queues: ReadonlyMap<string, string>): Promise<Waiting[]> {
  const ids = new Map(
    [...queues.keys()].flatMap((workflow) => {
      const pool = poolOfWorkflow(workflow);
      return pool === undefined || !queues.get(workflow)!.startsWith(regionQueue(''))
        ? []
        : [[workflow, pool] as const];
    }),
  );
  if (ids.size === 0) return [];
  const pools = await trx
    .selectFrom('minion_pool')
    .select(['id', 'endpoint_id'])
    .where(sql<boolean>`id = any(${[...new Set(ids.values())]})`)
    .execute();
  const endpoints = new Map(pools.map((pool) => [pool.id, pool.endpoint_id]));
  const mapped = await mappedRegions(trx, 'endpoint', [...new Set(endpoints.values())]);
  return [...ids].flatMap(([workflow, pool]) => {
    const endpoint = endpoints.get(pool);
    return endpoint === undefined ? [] : [{ workflow, regions: mapped.get(endpoint) ?? [] }];
  });
}
