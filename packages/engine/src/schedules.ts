import { GodwitError, judgeTicks } from '@godwit/domain';
import {
  lockSchedule,
  markJudged,
  nameActiveExecution,
  type Schedule,
  settleTick,
  takeTick,
  transact,
  unjudgedSchedules,
} from '@godwit/store';
import { sql } from 'kysely';
import { beginTransfer } from './begin-transfer.ts';
import { News } from './news.ts';
import type { StartPlace } from './start.ts';
import type { WorkerContext } from './worker-context.ts';

/** Milliseconds between looks: a tick fires this much after its minute begins, at most. */
export const SCHEDULES_EVERY_MS = 5_000;
/** Schedules judged in one look; the rest follow at the next. */
const BATCH = 500;

/**
 * Judges all minutes since the last look and fires what is due. Any number of workers may do it at once: each schedule is
 * judged by one of them at a time, and a tick that was taken is in the table for good, with its execution, or with the reason
 * why there is none. Returns how many fired.
 */
export async function fireSchedules(worker: WorkerContext): Promise<number> {
  let fired = 0;
  for (const id of await unjudgedSchedules(worker.db, BATCH)) {
    worker.heart.check();
    const did = await transact(worker.connection, async (trx) => {
      const schedule = await lockSchedule(trx, id);
      return schedule !== undefined && judge({ trx }, schedule);
    });
    if (did) fired += 1;
  }
  return fired;
}

/** True when it fired. */
async function judge(place: StartPlace, schedule: Schedule & { now: Date }): Promise<boolean> {
  const { trx } = place;
  const { checked_at: judged, expiration_date: expiry, id: scheduleId, now } = schedule;
  const { fire, missed } = judgeTicks(schedule.schedule, judged, now, expiry);
  for (const dueAt of missed) {
    await takeTick(trx, { scheduleId, dueAt, outcome: 'missed', reason: 'no worker was up in time' });
  }
  await markJudged(trx, scheduleId, now);
  if (fire === null || !(await takeTick(trx, { scheduleId, dueAt: fire, outcome: 'fired' }))) return false;
  const end = await begin(place, schedule);
  await settleTick(trx, { scheduleId, dueAt: fire, ...end });
  const news = new News(schedule.project_id);
  news.add(`schedule.${end.outcome}`, 'schedule', scheduleId, {
    transfer_id: schedule.transfer_id,
    due_at: fire.toISOString(),
    execution_id: end.executionId ?? null,
    reason: end.reason ?? null,
  });
  await news.write(trx);
  return end.outcome === 'fired';
}

type End =
  | { outcome: 'fired'; executionId: string; reason?: never }
  | { outcome: 'overlap' | 'refused'; reason: string; executionId?: never };

async function begin(place: StartPlace, schedule: Schedule): Promise<End> {
  const { trx } = place;
  await sql`savepoint tick`.execute(trx);
  try {
    const execution = await beginTransfer(place, {
      transferId: schedule.transfer_id,
      userId: schedule.user_id,
      shutdownInstances: schedule.shutdown_instance,
      autoDeploy: schedule.auto_deploy,
    });
    return { outcome: 'fired', executionId: execution.id };
  } catch (error) {
    if (!(error instanceof GodwitError) || error.kind === 'retryable') throw error;
    await sql`rollback to savepoint tick`.execute(trx);
    const busy = error.code === 'BAD_REQUEST' || error.code === 'CONFLICT';
    const named = await nameActiveExecution(trx, error);
    return { outcome: busy ? 'overlap' : 'refused', reason: named.explain() };
  }
}
