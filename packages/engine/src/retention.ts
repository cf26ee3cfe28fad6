import { foldTallies, purgeEvents, purgeExecutions } from '@godwit/store';
import { sql } from 'kysely';
import { APPLICATION, LOCKS } from './contract.ts';
import type { WorkerContext } from './worker-context.ts';

/** Milliseconds between looks. */
export const RETENTION_EVERY_MS = 600_000;

const DAY_MS = 86_400_000;
/** Progress is for those who watch; a reader that was away this long finds the counters in the task. */
const PROGRESS_MS = 3_600_000;
/** Workflows and executions removed in one go. */
const BATCH = 500;

/** What is gone. */
export interface Forgotten {
  executions: number;
  workflows: number;
  events: number;
}

/**
 * Forgets what ended more than `days` ago: executions (each action keeps its newest), their workflows, and events; adds up
 * what is counted. One worker at a time, a batch a call.
 */
export async function forgetOld(worker: WorkerContext, days: number, now: Date): Promise<Forgotten> {
  const before = new Date(now.getTime() - days * DAY_MS);
  return worker.db.transaction().execute(async (trx) => {
    const lock = await sql<{ held: boolean }>`select pg_try_advisory_xact_lock(${LOCKS.retention}) as held`.execute(
      trx,
    );
    if (lock.rows[0]?.held !== true) return { executions: 0, workflows: 0, events: 0 };
    const old = await worker.durable.listWorkflows({
      applicationName: APPLICATION,
      status: ['SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'],
      completedBefore: before.toISOString(),
      limit: BATCH,
      loadInput: false,
      loadOutput: false,
    });
    if (old.length > 0) await worker.durable.deleteWorkflows(old.map((workflow) => workflow.workflowID));
    await foldTallies(trx);
    const executions = await purgeExecutions(trx, before, BATCH);
    const watched = await trx
      .deleteFrom('event')
      .where('type', '=', 'progress')
      .where('at', '<', new Date(now.getTime() - PROGRESS_MS))
      .executeTakeFirst();
    const events = (await purgeEvents(trx, before)) + Number(watched.numDeletedRows);
    return { executions, workflows: old.length, events };
  });
}
