import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addProgress,
  addTaskEvent,
  claimTask,
  getTask,
  heartbeatTask,
  insertExecution,
  insertTasks,
  listTasks,
  setProgress,
  setTask,
  silentTasks,
  type Task,
  toldTasks,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeTransfer } from './rows.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

async function makeTasks(count: number): Promise<Task[]> {
  const { id } = await makeTransfer(database.db);
  const execution = await insertExecution(database.db, {
    actionId: id,
    actionType: 'transfer',
    type: 'transfer_execution',
  });
  const tasks = Array.from({ length: count }, (_, i) => ({
    instance: 'web01',
    taskType: 'REPLICATE_DISKS' as const,
    index: count - i,
  }));
  await insertTasks(database.db, execution.id, tasks);
  return listTasks(database.db, execution.id);
}

const worker = { host: 'here', processId: 1 };

describe('tasks', () => {
  it('are listed by index', async () => {
    expect((await makeTasks(3)).map((task) => task.index)).toEqual([1, 2, 3]);
  });

  it('belong to the newest attempt: whatever an earlier one writes is refused', async () => {
    const [task] = await makeTasks(1);
    const first = await claimTask(database.db, task!.id, worker);
    await heartbeatTask(database.db, task!.id, first!.attempt);
    const second = await claimTask(database.db, task!.id, { host: 'there', processId: 2 });
    expect(second).toMatchObject({ attempt: first!.attempt + 1, host: 'there', status: 'RUNNING' });
    const fenced = { code: 'FENCED', details: { owner: 2, attempt: 1 } };
    await expect(heartbeatTask(database.db, task!.id, 1)).rejects.toMatchObject(fenced);
    await expect(setTask(database.db, task!.id, 1, { status: 'COMPLETED' })).rejects.toMatchObject(fenced);
    const done = await setTask(database.db, task!.id, 2, { status: 'COMPLETED', result: { sent: 1 } });
    expect(done).toMatchObject({ status: 'COMPLETED', result: { sent: 1 } });
    expect(await claimTask(database.db, task!.id, worker)).toBeUndefined();
    expect(await getTask(database.db, task!.id)).toMatchObject({ host: 'there', attempt: 2 });
  });

  it('that nobody has heard of for a while are found', async () => {
    const [silent, lively] = await makeTasks(2);
    for (const task of [silent!, lively!]) await claimTask(database.db, task.id, worker);
    await database.db
      .updateTable('task')
      .set({ heartbeat_at: new Date(Date.now() - 60_000) })
      .where('id', '=', silent!.id)
      .execute();
    const found = await silentTasks(database.db, new Date(Date.now() - 30_000));
    expect(found.map((task) => task.id)).toEqual([silent!.id]);
  });

  it('number their events and progress updates, which can be moved on', async () => {
    const [task] = await makeTasks(1);
    await addTaskEvent(database.db, task!.id, 'INFO', 'one');
    await addTaskEvent(database.db, task!.id, 'WARNING', 'two');
    const progress = await addProgress(database.db, task!.id, { message: 'copying', totalSteps: 100 });
    await addProgress(database.db, task!.id, { message: 'verifying' });
    const disk = { disk_id: 'vda', size: 5, done: 4, read: 4, sent: 3, skipped: 0 };
    await setProgress(database.db, progress.id, { currentStep: 50, disk });
    const { execution_id } = task!;
    const [told] = (await toldTasks(database.db, [execution_id])).get(execution_id) ?? [];
    expect(told).toMatchObject({ id: task!.id, status: 'SCHEDULED', created_at: task!.created_at });
    expect(told?.events).toMatchObject([
      { index: 1, level: 'INFO' },
      { index: 2, level: 'WARNING' },
    ]);
    expect(told?.progress[0]).toMatchObject({ id: progress.id, created_at: progress.created_at, deleted_at: null });
    expect(told?.progress).toMatchObject([
      { index: 1, current_step: 50, total_steps: 100, disk },
      { index: 2, message: 'verifying', total_steps: null, disk: null },
    ]);
  });
});
