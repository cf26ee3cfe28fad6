import type { JsonObject } from '@godwit/domain';
import * as store from '@godwit/store';
import type { Execution } from './schemas/execution.ts';
import { executionToWire } from './wire/execution.ts';

/** Reads what belongs to executions in a fixed number of queries, however many there are. */

/** Of executions that are the caller's to see. */
export async function executionsToWire(db: store.Db, rows: readonly store.Execution[]): Promise<Execution[]> {
  const tasks = await store.toldTasks(
    db,
    rows.map((row) => row.id),
  );
  return rows.map((row) => executionToWire(row, tasks.get(row.id) ?? []));
}

/** An execution that was just started: its tasks have nothing to tell yet. */
export function freshExecutionToWire(begun: store.Execution & { tasks: readonly store.Task[] }): Execution {
  return executionToWire(
    begun,
    begun.tasks.map((task) => ({ ...task, events: [], progress: [] })),
  );
}

/** The blackboards of several actions, by action id and instance. */
export async function readInfo(db: store.Db, actionIds: string[]): Promise<Map<string, Record<string, JsonObject>>> {
  const boards = Map.groupBy(await store.infoOfActions(db, actionIds), (board) => board.action_id);
  return new Map(
    actionIds.map((id) => [
      id,
      Object.fromEntries((boards.get(id) ?? []).map(({ instance, data }) => [instance, data])),
    ]),
  );
}
