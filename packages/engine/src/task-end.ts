import { type GodwitError, isFinalTask, TASK_TRANSITIONS, type TaskStatus, transition } from '@godwit/domain';
import { addTallies, type Database, mergeInfo, toJson } from '@godwit/store';
import { sql, type Transaction } from 'kysely';
import type { News } from './news.ts';
import type { TaskOutcome } from './run-task.ts';
import { type BoardTask, sayTask } from './task-board.ts';

type Trx = Transaction<Database>;

/**
 * Takes tasks for this process: raises their attempt, so that whoever ran them before is refused from now on. The caller
 * holds the execution's row locked and has the rows as they are.
 */
export async function claimTasks(
  trx: Trx,
  news: News,
  worker: { host: string },
  tasks: readonly BoardTask[],
): Promise<void> {
  if (tasks.length === 0) return;
  await addTallies(trx, { recoveries: tasks.filter((task) => task.attempt > 0).length });
  for (const task of tasks) {
    // Cleanup that was under way when a cancel came starts again as what it was.
    if (task.status !== 'CANCELLING_AFTER_COMPLETION') {
      task.status = transition(TASK_TRANSITIONS, `task ${task.id}`, task.status, 'RUNNING');
    }
    task.attempt += 1;
  }
  for (const [status, group] of Map.groupBy(tasks, (task) => task.status)) {
    await trx
      .updateTable('task')
      .set((eb) => ({
        status,
        attempt: eb('attempt', '+', 1),
        host: worker.host,
        process_id: process.pid,
        heartbeat_at: sql<Date>`clock_timestamp()`,
        started_at: sql<Date>`coalesce(started_at, clock_timestamp())`,
        updated_at: sql<Date>`now()`,
      }))
      .where(
        'id',
        'in',
        group.map((task) => task.id),
      )
      .execute();
  }
  for (const task of tasks) sayTask(news, task);
}

/**
 * Writes how an attempt ended, with what it found for the blackboard. False when the attempt is not the owner any more or
 * its end stands already (a commit whose answer was lost): then nothing is written.
 */
export async function endTask(
  trx: Trx,
  news: News,
  actionId: string,
  task: BoardTask,
  attempt: number,
  outcome: TaskOutcome,
): Promise<boolean> {
  if (task.attempt !== attempt || isFinalTask(task.status)) return false;
  const to = endStatus(task.status, outcome.error);
  task.status = transition(TASK_TRANSITIONS, `task ${task.id}`, task.status, to);
  const failed = to === 'ERROR' ? outcome.error : undefined;
  await trx
    .updateTable('task')
    .set({
      status: to,
      finished_at: sql<Date>`clock_timestamp()`,
      updated_at: sql<Date>`now()`,
      ...(failed !== undefined && { exception_details: failed.explain(), error: toJson(failed.toData()) }),
    })
    .where('id', '=', task.id)
    .where('attempt', '=', attempt)
    .execute();
  if (failed?.code === 'VERIFY_MISMATCH') await addTallies(trx, { verify_mismatches: 1 });
  if (Object.keys(outcome.info).length > 0) await mergeInfo(trx, actionId, task.instance, outcome.info);
  sayTask(news, task);
  return true;
}

/** What a task that stopped has become. */
function endStatus(status: TaskStatus, error: GodwitError | undefined): TaskStatus {
  if (status === 'CANCELLING') return error === undefined ? 'CANCELED_AFTER_COMPLETION' : 'CANCELED';
  if (error !== undefined) return 'ERROR';
  return status === 'CANCELLING_AFTER_COMPLETION' ? 'CANCELED_AFTER_COMPLETION' : 'COMPLETED';
}
