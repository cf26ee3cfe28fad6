import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  CANCEL_CHANNEL,
  deleteExecution,
  getExecution,
  getTransfer,
  insertExecution,
  latestExecutions,
  listExecutions,
  listen,
  purgeExecutions,
  requestCancel,
  setExecutionStatus,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeTransfer } from './rows.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase({ max: 12 });
});
afterAll(() => database.drop());

const run = (actionId: string) =>
  insertExecution(database.db, { actionId, actionType: 'transfer', type: 'transfer_execution' });

describe('executions', () => {
  it('are numbered from 1 without reuse, and tell their transfer how the newest one goes', async () => {
    const { id } = await makeTransfer(database.db);
    const first = await run(id);
    expect(first).toMatchObject({ number: 1, status: 'RUNNING' });
    expect(await getTransfer(database.db, id)).toMatchObject({ last_execution_status: 'RUNNING' });
    await setExecutionStatus(database.db, first.id, 'ERROR');
    expect(await deleteExecution(database.db, first.id)).toBe(true);
    const second = await run(id);
    expect(second.number).toBe(2);
    const done = await setExecutionStatus(database.db, second.id, 'COMPLETED');
    expect(done?.finished_at).toBeInstanceOf(Date);
    expect(await getTransfer(database.db, id)).toMatchObject({ last_execution_status: 'COMPLETED' });
    expect(await listExecutions(database.db, id)).toMatchObject([{ number: 2 }]);
    expect(await getExecution(database.db, first.id)).toBeUndefined();
  });

  it('run one at a time: of ten that start at once one does, and the others name it', async () => {
    const { id } = await makeTransfer(database.db);
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => run(id)));
    const started = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
    expect(started).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      expect(result.reason).toMatchObject({
        code: 'BAD_REQUEST',
        message: `Another tasks execution is in progress: ['${started[0]!.id}']`,
      });
    }
    await setExecutionStatus(database.db, started[0]!.id, 'COMPLETED');
    expect((await run(id)).number).toBe(2);
  });

  it('never leave a final status', async () => {
    const { id } = await makeTransfer(database.db);
    const execution = await run(id);
    await setExecutionStatus(database.db, execution.id, 'CANCELED');
    expect(await setExecutionStatus(database.db, execution.id, 'RUNNING')).toBeUndefined();
    expect(await requestCancel(database.db, execution.id, 'force')).toBeUndefined();
    expect(await getExecution(database.db, execution.id)).toMatchObject({ status: 'CANCELED', cancel_requested: null });
  });

  it('announce a request to cancel when it is committed, and force is not taken back', async () => {
    const { id } = await makeTransfer(database.db);
    const execution = await run(id);
    const heard: string[] = [];
    const listener = listen(database.url, [CANCEL_CHANNEL], { onNotify: (_, payload) => heard.push(payload) });
    await listener.listening;
    await database.db.transaction().execute(async (trx) => {
      await requestCancel(trx, execution.id, 'force');
      await sql`select pg_sleep(0.05)`.execute(trx);
      expect(heard).toEqual([]);
    });
    while (heard.length === 0) await sleep(5);
    expect(heard).toEqual([execution.id]);
    expect(await requestCancel(database.db, execution.id, 'cooperative')).toMatchObject({ cancel_requested: 'force' });
    await listener.close();
  });

  it('are removed for good when they are old, but never the newest of a transfer', async () => {
    const { id } = await makeTransfer(database.db);
    for (let i = 0; i < 3; i++) await setExecutionStatus(database.db, (await run(id)).id, 'COMPLETED');
    expect(await purgeExecutions(database.db, new Date(0))).toBe(0);
    await purgeExecutions(database.db, new Date(Date.now() + 60_000));
    expect(await listExecutions(database.db, id)).toMatchObject([{ number: 3 }]);
    expect((await latestExecutions(database.db, [id])).get(id)).toMatchObject({ number: 3 });
    expect((await run(id)).number).toBe(4);
  });

  it('of an unknown transfer are refused', async () => {
    await expect(run('nope')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});
