import { type EventLevel, GodwitError } from '@godwit/domain';
import { addPoolEvent, addTaskEvent, type Db, getMinionPool, HEARTBEAT_LIMIT_MS } from '@godwit/store';
import { sql } from 'kysely';
import {
  APPLICATION,
  CONTROL_QUEUE,
  DEFAULT_REGION,
  executionWorkflowId,
  LOCKS,
  poolOfWorkflow,
  regionQueue,
  taskWorkflowId,
} from './contract.ts';
import { followRegions } from './follow-regions.ts';

/** Milliseconds between looks. */
export const WAITING_EVERY_MS = 5_000;

/** Regions that an enabled worker serves now; the region of endpoints that are mapped to none among them when there is any. */
export async function servedRegions(db: Db): Promise<Set<string>> {
  const { rows } = await sql<{ region: string }>`
    with ready as (
      select id from service where deleted_at is null and enabled
        and heartbeat_at > clock_timestamp() - ${HEARTBEAT_LIMIT_MS} * interval '1 ms')
    select ${DEFAULT_REGION} as region from ready
    union
    select region.id from ready
    join region_mapping on object_type = 'service' and object_id = ready.id
    join region on region.id = region_id and region.enabled and region.deleted_at is null`.execute(db);
  return new Set(rows.map((row) => row.region));
}

/**
 * Sends work that nobody can take after its endpoints; says of what is left why it waits, once, where people look: among the events of the task (of the first one
 * when the whole execution waits), or of the minion pool. One process at a time does it. Returns how many it told.
 */
export async function explainWaiting(db: Db): Promise<number> {
  return db.transaction().execute(async (trx) => {
    const lock = await sql<{ held: boolean }>`select pg_try_advisory_xact_lock(${LOCKS.waiting}) as held`.execute(trx);
    if (lock.rows[0]?.held !== true) return 0;
    const served = await servedRegions(trx);
    const taken = [...[...served].map(regionQueue), ...(served.size > 0 ? [CONTROL_QUEUE] : [])];
    const stuck = await queuedElsewhere(trx, taken);
    if (stuck.size === 0) return 0;
    await followRegions(trx, stuck, served);
    for (const [workflow, queue] of stuck) if (taken.includes(queue)) stuck.delete(workflow);
    let told = 0;
    for (const [workflow, queue] of stuck) {
      const pool = poolOfWorkflow(workflow);
      if (pool !== undefined && (await tellPool(trx, pool, await reason(trx, queue)))) told += 1;
    }
    for (const { execution, id } of await unbegun(trx)) {
      const queue = stuck.get(taskWorkflowId(id)) ?? stuck.get(executionWorkflowId(execution));
      if (queue !== undefined && (await sayOnce(trx, id, 'WARNING', await reason(trx, queue)))) told += 1;
    }
    return told;
  });
}

/** Queues of workflows that wait in others than these, by workflow. */
async function queuedElsewhere(db: Db, taken: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ workflow: string; queue: string }>`
    select workflow_uuid as workflow, queue_name as queue from dbos.workflow_status
    where status = 'ENQUEUED' and application_name = ${APPLICATION} and queue_name <> all(${taken})`.execute(db);
  return new Map(rows.map(({ workflow, queue }) => [workflow, queue]));
}

/** Tasks that were handed out and not begun, and the first of each execution of which nothing has begun. */
async function unbegun(db: Db): Promise<{ id: string; execution: string }[]> {
  const { rows } = await sql<{ id: string; execution: string }>`
    select task.id, execution.id as execution from execution join task on task.execution_id = execution.id
    where execution.status in ('RUNNING', 'CANCELLING', 'AWAITING_MINION_ALLOCATIONS') and (task.status = 'PENDING'
      or (task.status = 'SCHEDULED' and task.index = (
        select min(open.index) from task open where open.execution_id = execution.id and open.status = 'SCHEDULED')))
    order by task.created_at, task.index`.execute(db);
  return rows;
}

async function reason(db: Db, queue: string): Promise<string> {
  const row = await db
    .selectFrom('region')
    .select(['enabled', 'name'])
    .where(sql<boolean>`${regionQueue('')} || id = ${queue}`)
    .executeTakeFirst();
  const where = row === undefined ? 'this work' : `region ${row.name}${row.enabled ? '' : ', which is disabled'}`;
  return new GodwitError('NO_WORKER', where).explain();
}

/** Adds an event to a task unless it says so already. False when it does. */
export async function sayOnce(db: Db, taskId: string, level: EventLevel, message: string): Promise<boolean> {
  const before = await db
    .selectFrom('task_event')
    .select('id')
    .where('task_id', '=', taskId)
    .where('message', '=', message)
    .executeTakeFirst();
  if (before !== undefined) return false;
  await addTaskEvent(db, taskId, level, message);
  return true;
}

async function tellPool(db: Db, poolId: string, message: string): Promise<boolean> {
  const pool = await getMinionPool(db, poolId);
  if (pool === undefined) return false;
  const last = await db
    .selectFrom('minion_pool_event')
    .select(['level', 'message'])
    .where('pool_id', '=', poolId)
    .orderBy('index', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (last?.message === message) return false;
  await addPoolEvent(db, poolId, 'WARNING', message);
  return true;
}
