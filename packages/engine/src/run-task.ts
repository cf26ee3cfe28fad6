import { GodwitError, type JsonObject } from '@godwit/domain';
import { addTaskEvent, databaseError } from '@godwit/store';
import { endOf, isHeavy } from './placement.ts';
import { withRetry } from './retry-policy.ts';
import type { BoardTask } from './task-board.ts';
import { openTaskContext } from './task-context.ts';
import { taskBodies } from './tasks/index.ts';
import type { WorkerContext } from './worker-context.ts';

/** How one attempt at a task ended. */
export interface TaskOutcome {
  /** Keys for the instance's blackboard; null removes one. */
  info: JsonObject;
  /** Absent: it completed. */
  error?: GodwitError;
}

/**
 * Runs one attempt of a task that this worker has claimed. Never rejects: every end is an outcome. Trouble of the passing
 * kind is waited out; everything a task does is idempotent by key, so it simply begins again.
 */
export function runTask(worker: WorkerContext, task: BoardTask): Promise<TaskOutcome> {
  const { id: taskId, executionId, attempt, onError } = task;
  const log = worker.log.child({ execution: executionId, task: taskId, task_type: task.type, instance: task.instance });
  return worker.runs.run({ taskId, executionId, attempt, onError }, async (signal) => {
    let progress = 0;
    const attemptOnce = async (): Promise<JsonObject> => {
      const context = await openTaskContext(worker, task, signal, log, (bytes) => {
        progress += bytes;
      });
      try {
        const body = await taskBodies[task.type]?.();
        if (body === undefined) throw new GodwitError('UNSUPPORTED', `task ${task.type}`, { what: 'being run yet' });
        const run = async (): Promise<JsonObject> => {
          await worker.reach(`${task.type}:begin`);
          const info = await body(context);
          await worker.reach(`${task.type}:end`);
          return info;
        };
        if (isHeavy(task.type)) return await run();
        const action = context.deployment ?? context.transfer;
        return await worker.turns.take(action[`${endOf(task.type)}_endpoint_id`], signal, run);
      } catch (error) {
        // Whatever a body did not wait out itself: a Postgres that is away passes too.
        throw databaseError(error);
      } finally {
        await context.settle();
      }
    };
    try {
      signal.throwIfAborted();
      const info = await withRetry(
        {
          policy: worker.retry,
          signal,
          progress: () => progress,
          onRetry: (error, waitMs) => {
            log.warn({ err: error, waitMs }, 'will try again');
            void addTaskEvent(worker.db, taskId, 'WARNING', `${error.explain()} Trying again.`).catch(
              (cause: unknown) => log.debug({ err: cause }, 'an event could not be written'),
            );
          },
          retryable: isRetryable,
        },
        attemptOnce,
      );
      log.info('task completed');
      return { info };
    } catch (error) {
      const known = asTaskError(error, task, signal);
      if (known.code === 'INTERNAL') log.error({ err: error }, 'task failed');
      else log.warn({ err: known }, 'task ended early');
      return { info: {}, error: known };
    }
  });
}

function isRetryable(error: unknown): error is GodwitError {
  return error instanceof GodwitError && error.kind === 'retryable';
}

/** An abort wins over what it caused. */
function asTaskError(error: unknown, task: BoardTask, signal: AbortSignal): GodwitError {
  if (signal.aborted && signal.reason instanceof GodwitError) return signal.reason;
  return GodwitError.wrap(databaseError(error), 'INTERNAL', `task ${task.type} of ${task.instance}`);
}
