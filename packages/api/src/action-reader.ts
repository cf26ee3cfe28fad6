import type { JsonObject } from '@godwit/domain';
import * as store from '@godwit/store';
import { found } from './request-error.ts';
import type { Execution } from './schemas/execution.ts';
import { executionToWire, type TaskDetails } from './wire/execution.ts';

/** Reads what belongs to executions in a fixed number of queries, however many there are. */

export async function readTasks(
  db: store.Db,
  executionIds: string[],
): Promise<{ tasks: Map<string, store.Task[]>; details: TaskDetails }> {
  const tasks = await store.tasksOfExecutions(db, executionIds);
  const ids = [...tasks.values()].flat().map((task) => task.id);
  const [events, progress] = await Promise.all([store.eventsOfTasks(db, ids), store.progressOfTasks(db, ids)]);
  return { tasks, details: { events, progress } };
}

export async function executionsToWire(db: store.Db, rows: readonly store.Execution[]): Promise<Execution[]> {
  const { tasks, details } = await readTasks(
    db,
    rows.map((row) => row.id),
  );
  return rows.map((row) => executionToWire(row, tasks.get(row.id) ?? [], details));
}

/** An execution that was just started: its tasks have nothing to tell yet. */
export async function freshExecutionToWire(db: store.Db, executionId: string): Promise<Execution> {
  const [row, tasks] = await Promise.all([store.getExecution(db, executionId), store.listTasks(db, executionId)]);
  return executionToWire(found(row, 'Execution', executionId), tasks);
}

/** The blackboards of several actions. */
export async function readInfo(db: store.Db, actionIds: string[]): Promise<Map<string, Record<string, JsonObject>>> {
  const entries = await Promise.all(actionIds.map(async (id) => [id, await store.listInfo(db, id)] as const));
  return new Map(entries);
}
