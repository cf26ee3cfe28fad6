import { FINAL_EXECUTION_STATUSES, isFinalTask } from '@godwit/domain';
import type { Database, Execution } from '@godwit/store';
import { sql, type Transaction } from 'kysely';
import { TASK_CHANNEL, taskWorkflowId } from '../contract.ts';
import { whileDatabaseIsAway } from '../database-retry.ts';
import { News } from '../news.ts';
import { runTask } from '../run-task.ts';
import { type BoardTask, changeTasks, taskStates } from '../task-board.ts';
import { claimTasks, endTask } from '../task-end.ts';
import type { WorkerContext } from '../worker-context.ts';

/**
 * Runs one task that an execution handed to this region. The execution's walk sees the end in the tables; the notice only
 * spares it the wait. Run again after an interruption, it claims the task anew under a higher attempt.
 */
export async function runQueuedTask(worker: WorkerContext, taskId: string): Promise<void> {
  const retry = { log: worker.log, signal: worker.heart.signal };
  if (await whileDatabaseIsAway(retry, () => worker.balance.leave(taskWorkflowId(taskId)))) return;
  const claimed = await whileDatabaseIsAway(retry, async () => {
    worker.heart.check();
    return worker.db.transaction().execute(async (trx) => {
      const board = await lockBoard(trx, taskId);
      if (board === undefined || isFinalTask(board.task.status)) return undefined;
      const { execution, news, task } = board;
      if (task.status === 'CANCELLING') {
        // Canceled while nobody ran it: its worker had died.
        await changeTasks(trx, news, [task], [{ id: task.id, from: task.status, to: 'CANCELED' }]);
        await news.write(trx);
        await tellWalk(trx, execution.id);
        return undefined;
      }
      await claimTasks(trx, news, worker.service, [task]);
      await news.write(trx);
      return task;
    });
  });
  if (claimed === undefined) return;
  const outcome = await runTask(worker, claimed);
  await whileDatabaseIsAway(retry, async () => {
    worker.heart.check();
    await worker.db.transaction().execute(async (trx) => {
      const board = await lockBoard(trx, taskId);
      if (board === undefined) return;
      const { execution, news, task } = board;
      await endTask(trx, news, execution.action_id, task, claimed.attempt, outcome);
      await news.write(trx);
      await tellWalk(trx, execution.id);
    });
  });
}

interface Board {
  execution: Execution;
  news: News;
  task: BoardTask;
}

/** The task, with its execution locked: walk and task take turns. Undefined when the execution is over or gone. */
async function lockBoard(trx: Transaction<Database>, taskId: string): Promise<Board | undefined> {
  const execution = await trx
    .selectFrom('execution')
    .selectAll()
    .select(
      sql<string>`coalesce((select project_id from transfer where id = action_id),
        (select project_id from deployment where id = action_id))`.as('project_id'),
    )
    .where('id', '=', (qb) => qb.selectFrom('task').select('execution_id').where('id', '=', taskId))
    .forUpdate()
    .executeTakeFirst();
  if (execution === undefined || FINAL_EXECUTION_STATUSES.includes(execution.status)) return undefined;
  const task = (await taskStates(trx, execution.id)).find((one) => one.id === taskId);
  if (task === undefined) return undefined;
  return { execution, news: new News(execution.project_id), task };
}

async function tellWalk(trx: Transaction<Database>, executionId: string): Promise<void> {
  await sql`select pg_notify(${TASK_CHANNEL}, ${executionId})`.execute(trx);
}
