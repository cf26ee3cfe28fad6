import { HEARTBEAT_LIMIT_MS } from '@godwit/store';
import { sql } from 'kysely';
import { APPLICATION, LOCKS } from './contract.ts';
import type { WorkerContext } from './worker-context.ts';

/** Milliseconds between looks. */
export const TAKEOVER_EVERY_MS = 5_000;

/**
 * Gives the workflows of dead workers back to their queues, where any living worker finds them. One worker at a time does
 * it. Returns how many went back.
 *
 * A worker is dead when its heartbeat is older than 30 s: by its own clock it has stopped touching disks at 20 s. Queue and
 * partition are kept, so that regions and limits hold for the successor too.
 */
export async function takeOverDead(worker: WorkerContext): Promise<number> {
  return worker.db.transaction().execute(async (trx) => {
    const lock = await sql<{ held: boolean }>`select pg_try_advisory_xact_lock(${LOCKS.takeover}) as held`.execute(trx);
    if (lock.rows[0]?.held !== true) return 0;
    const living = await trx
      .selectFrom('service')
      .select('executor_id')
      .where('deleted_at', 'is', null)
      .where('executor_id', 'is not', null)
      .where('heartbeat_at', '>', sql<Date>`clock_timestamp() - ${HEARTBEAT_LIMIT_MS} * interval '1 ms'`)
      .execute();
    const up = new Set(living.map((row) => row.executor_id));
    const pending = await worker.durable.listWorkflows({
      status: 'PENDING',
      applicationName: APPLICATION,
      loadInput: false,
      loadOutput: false,
    });
    const orphaned = pending.filter((workflow) => !up.has(workflow.executorId ?? ''));
    for (const [queueName, group] of Map.groupBy(orphaned, (workflow) => workflow.queueName)) {
      await worker.durable.resumeWorkflows(
        group.map((workflow) => workflow.workflowID),
        queueName === undefined ? {} : { queueName },
      );
    }
    if (orphaned.length > 0) worker.log.warn({ workflows: orphaned.length }, 'took over the work of dead workers');
    return orphaned.length;
  });
}
