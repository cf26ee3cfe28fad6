import {
  isFinalTask,
  TASK_TRANSITIONS,
  type TaskState,
  type TaskStatus,
  type TaskType,
  transition,
} from '@godwit/domain';
import type { Database } from '@godwit/store';
import { sql, type Transaction } from 'kysely';
import type { News } from './news.ts';

type Trx = Transaction<Database>;

/** A task as the walk sees it. */
export interface BoardTask extends TaskState {
  type: TaskType;
  executionId: string;
  attempt: number;
}

/** The tasks of an execution in order of index. The caller holds the execution's row locked. */
export async function taskStates(trx: Trx, executionId: string): Promise<BoardTask[]> {
  const rows = await trx
    .selectFrom('task')
    .select(['id', 'execution_id', 'instance', 'task_type', 'status', 'depends_on', 'on_error', 'attempt'])
    .where('execution_id', '=', executionId)
    .orderBy('index')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    executionId: row.execution_id,
    instance: row.instance,
    type: row.task_type,
    status: row.status,
    dependsOn: row.depends_on ?? [],
    onError: row.on_error,
    attempt: row.attempt,
  }));
}

export interface ChangeOptions {
  /** Raise the fence too: whoever runs the task is refused from now on. */
  fenceOff?: boolean;
}

/** Writes status changes that need no work, in the rows and in `tasks`, and tells the readers of events. */
export async function changeTasks(
  trx: Trx,
  news: News,
  tasks: readonly BoardTask[],
  changes: readonly { id: string; from: TaskStatus; to: TaskStatus }[],
  options: ChangeOptions = {},
): Promise<void> {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  for (const [to, group] of Map.groupBy(changes, (change) => change.to)) {
    for (const { id, from } of group) transition(TASK_TRANSITIONS, `task ${id}`, from, to);
    await trx
      .updateTable('task')
      .set((eb) => ({
        status: to,
        updated_at: sql<Date>`now()`,
        ...(isFinalTask(to) && { finished_at: sql<Date>`clock_timestamp()` }),
        ...(options.fenceOff === true && { attempt: eb('attempt', '+', 1) }),
      }))
      .where(
        'id',
        'in',
        group.map((change) => change.id),
      )
      .execute();
    for (const { id } of group) {
      const task = byId.get(id);
      if (task === undefined) continue;
      task.status = to;
      if (options.fenceOff === true) task.attempt += 1;
      sayTask(news, task);
    }
  }
}

export function sayTask(news: News, task: BoardTask): void {
  news.add('task.updated', 'task', task.id, {
    execution_id: task.executionId,
    instance: task.instance,
    task_type: task.type,
    status: task.status,
  });
}
