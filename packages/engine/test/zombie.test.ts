import type { ReplicaProgress } from '@godwit/disk';
import { listReplicaDisks, PostgresCheckpointStore, type ReplicaDisk } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { News } from '../src/news.ts';
import { taskStates } from '../src/task-board.ts';
import { claimTasks, endTask } from '../src/task-end.ts';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

// What a worker may still do that does not know yet that its work was taken from it: nothing that counts.

let it: TestInstallation;
let origin: string;
let destination: string;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

const onlyDisk = async (transferId: string): Promise<ReplicaDisk> => {
  const [disk] = await listReplicaDisks(it.db, transferId);
  if (disk === undefined) throw new Error('no disk yet');
  return disk;
};

test('an attempt that is past writes nothing to the blackboard', async () => {
  it.instance('src', 'past', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, ['past']);
  const point = 'REPLICATE_DISKS:frozen';
  const worker = it.worker({ host: 'past', stops: [{ point, action: 'pause' }] });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('the snapshot is taken', () => worker.reached.includes(point));
  // As a force cancel does, but without a word to the worker.
  await it.db
    .updateTable('task')
    .set((eb) => ({ attempt: eb('attempt', '+', 1), status: 'FORCE_CANCELED' }))
    .where('execution_id', '=', executionId)
    .where('task_type', '=', 'REPLICATE_DISKS')
    .execute();
  await it.db
    .updateTable('execution')
    .set({ status: 'CANCELED', finished_at: sql<Date>`now()` })
    .where('id', '=', executionId)
    .execute();
  worker.goOn(point);
  await it.eventually('the worker is refused', () => /FENCED/.test(worker.log));
  const board = await it.db
    .selectFrom('info')
    .select('data')
    .where('action_id', '=', transfer.id)
    .executeTakeFirstOrThrow();
  expect(board.data).not.toHaveProperty('snapshot');
  expect((await onlyDisk(transfer.id)).progress).toBeNull();
  await it.eventually('what it had made is gone', async () =>
    (await it.ledger()).every((line) => !line.startsWith('execution')),
  );
  await worker.kill();
});

test('a copy that was ended by force commits no checkpoint after that', async () => {
  it.instance('src', 'forced', { vda: sparseBytes(64 * MIB) });
  const options = { options: JSON.stringify({ rate_limit: 2 * MIB }) };
  const transfer = await it.transfer(origin, destination, ['forced'], options);
  const worker = it.worker({ host: 'forced' });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('bytes flow', async () => {
    const progress = (await onlyDisk(transfer.id).catch(() => null))?.progress as { lowWater?: number } | null;
    return (progress?.lowWater ?? 0) > 0;
  });
  worker.process.kill('SIGSTOP');
  const owned = await onlyDisk(transfer.id);
  await it.engine.cancelExecution(executionId, true);
  const before = await onlyDisk(transfer.id);
  // Whoever holds the fence that the copy was given is refused, also one that never hears of the cancel.
  const deaf = new PostgresCheckpointStore(it.db, owned.id, owned.fence);
  await expect(deaf.commit(owned.progress as unknown as ReplicaProgress, [])).rejects.toMatchObject({ code: 'FENCED' });
  await expect(deaf.load()).rejects.toMatchObject({ code: 'FENCED' });
  worker.process.kill('SIGCONT');
  await it.eventually('the copy has ended', () => /task ended early/.test(worker.log));
  const after = await onlyDisk(transfer.id);
  expect(after.progress).toEqual(before.progress);
  expect(after.commit_no).toBe(before.commit_no);

  await it.db.updateTable('transfer').set({ options: '{}' }).where('id', '=', transfer.id).execute();
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['forced']);
  await worker.kill();
});

test('the end of an attempt that is past changes nothing, and an end counts once', async () => {
  const transfer = await it.transfer(origin, destination, ['nobody']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  const news = new News(it.projectId);
  const worker = { host: 'somewhere' };
  const board = () => it.db.selectFrom('info').select('data').where('action_id', '=', transfer.id).executeTakeFirst();
  await it.db.transaction().execute(async (trx) => {
    const [task] = await taskStates(trx, executionId);
    if (task === undefined) throw new Error('no task');
    await claimTasks(trx, news, worker, [task]);
    await claimTasks(trx, news, worker, [task]);
    const end = (attempt: number, finder: string) =>
      endTask(trx, news, transfer.id, task, attempt, { info: { finder } });
    expect(await end(1, 'the first')).toBe(false);
    expect(task).toMatchObject({ attempt: 2, status: 'RUNNING' });
    expect(await end(2, 'the second')).toBe(true);
    expect(await end(2, 'the second, once more')).toBe(false);
    expect(task.status).toBe('COMPLETED');
  });
  expect((await board())?.data).toEqual({ finder: 'the second' });
  expect((await it.tasks(executionId))[0]).toMatchObject({ attempt: 2, status: 'COMPLETED' });
  await it.engine.cancelExecution(executionId, true);
});
