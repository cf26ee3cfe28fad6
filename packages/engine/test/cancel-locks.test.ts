import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

test('a deployment is canceled while the walker of its execution holds that, and writes the deployment', async () => {
  await using it = await TestInstallation.start();
  it.instance('src', 'held', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['held']);
  const worker = it.worker({ host: 'held' });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId)).toBe('COMPLETED');
  await worker.kill();
  const deployment = await it.engine.deploy({ transferId: transfer.id, userId: 'u1' });
  let canceled: Promise<unknown> = Promise.resolve();
  await it.db.transaction().execute(async (walker) => {
    await sql`select 1 from execution where id = ${deployment.executionId} for update`.execute(walker);
    canceled = it.engine.cancelDeployment(deployment.deploymentId, true).catch((error: unknown) => error);
    const waiting = sql`
      select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    while ((await waiting.execute(it.db)).rows.length === 0) await sleep(10);
    await sql`update deployment set last_execution_status = 'RUNNING' where id = ${deployment.deploymentId}`.execute(
      walker,
    );
  });
  expect(await canceled).toBeUndefined();
  expect(await it.until(deployment.executionId)).toBe('CANCELED');
  await expect(it.engine.cancelDeployment(deployment.deploymentId, true)).rejects.toMatchObject({
    code: 'BAD_REQUEST',
    details: { reason: 'No running task to be canceled: the execution is CANCELED' },
  });
});

test('a request that loses a deadlock is done again', async () => {
  await using it = await TestInstallation.start();
  it.instance('src', 'tied', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['tied']);
  let started: Promise<unknown> = Promise.resolve();
  await it.db
    .transaction()
    .execute(async (trx) => {
      // Far longer than the request waits: that one is the one to lose.
      await sql`set local deadlock_timeout = '60s'`.execute(trx);
      const id = randomUUID();
      await sql`insert into execution (id, action_id, action_type, number, type, status, options)
        values (${id}, ${transfer.id}, 'transfer', 99, 'transfer_execution', 'RUNNING', '{}')`.execute(trx);
      started = it.engine.executeTransfer({ transferId: transfer.id });
      const waiting = sql`
        select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
      while ((await waiting.execute(it.db)).rows.length === 0) await sleep(10);
      await sql`select 1 from transfer where id = ${transfer.id} for update`.execute(trx);
      throw new Error('changed its mind');
    })
    .catch((error: Error) => expect(error.message).toBe('changed its mind'));
  expect(await started).toMatchObject({ number: 1 });
});
