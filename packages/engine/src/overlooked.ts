import { isFinalTask, TASK_TRANSITIONS, type TaskStatus } from '@godwit/domain';
import type { Execution } from '@godwit/store';
import { sql } from 'kysely';
import type { BoardTask } from './task-board.ts';
import type { WorkerContext } from './worker-context.ts';

/** Milliseconds between looks. */
export const OVERLOOKED_EVERY_MS = 2_000;

const FINAL = (Object.keys(TASK_TRANSITIONS) as TaskStatus[]).filter(isFinalTask);

/**
 * What a walk knows of its execution, as one text: it differs from what the rows say when another process has ended a task of
 * it, canceled it, ended it or begun to walk it.
 */
export function knownOf(
  execution: Pick<Execution, 'status' | 'cancel_requested'>,
  walkNo: number,
  tasks: readonly BoardTask[],
): string {
  const ended = tasks.filter((task) => isFinalTask(task.status)).length;
  return [execution.status, execution.cancel_requested ?? '', walkNo, ended].join(' ');
}

/**
 * In case a notice was lost: wakes the walks here whose executions are not what they know. One query for all of them: a step
 * of each, which finds nothing as a rule, would be a transaction for every execution that waits for its copy. Returns how many
 * it woke.
 */
export async function wakeOverlooked({ db, runs }: Pick<WorkerContext, 'db' | 'runs'>): Promise<number> {
  const known = runs.known;
  if (known.size === 0) return 0;
  const { rows } = await sql<{ id: string; now: string }>`
    select id, concat_ws(' ', status, coalesce(cancel_requested, ''), walk_no, (
        select count(*) from task where execution_id = execution.id and task.status = any(${FINAL}))) as now
    from execution where id = any(${[...known.keys()]})`.execute(db);
  const overlooked = rows.filter(({ id, now }) => known.get(id) !== now);
  for (const { id } of overlooked) runs.wake(id);
  return overlooked.length;
}
