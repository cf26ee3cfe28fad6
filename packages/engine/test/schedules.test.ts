import {
  getTransfer,
  insertExecution,
  insertSchedule,
  listTicks,
  listTransfers,
  type ScheduleRule,
  type Transfer,
} from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

// Runs that begin by the clock.

let it: TestInstallation;
let origin: string;
let destination: string;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
  // Three at once: none may fire what another has fired.
  for (const host of ['one', 'two', 'three']) await it.worker({ host }).ready;
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

let count = 0;
async function transferOf(): Promise<Transfer> {
  count += 1;
  it.instance('src', `vm${count}`, { vda: sparseBytes(MIB) });
  return it.transfer(origin, destination, [`vm${count}`]);
}

interface Wish {
  rule?: ScheduleRule;
  /** Minutes since it was last judged. */
  unjudged: number;
  expiresInMinutes?: number;
  shutdownInstance?: boolean;
  autoDeploy?: boolean;
}

/** A schedule as it stands when nobody was there for a while; due in every minute unless said. */
async function schedule(transfer: Transfer, wish: Wish): Promise<string> {
  const minutes = (n: number) => new Date(Date.now() + n * 60_000);
  const row = await insertSchedule(it.db, {
    transferId: transfer.id,
    projectId: transfer.project_id,
    userId: 'tester',
    schedule: wish.rule ?? { cron: '* * * * *' },
    enabled: false,
    expirationDate: wish.expiresInMinutes === undefined ? null : minutes(wish.expiresInMinutes),
    shutdownInstance: wish.shutdownInstance ?? false,
    autoDeploy: wish.autoDeploy ?? false,
  });
  await it.db
    .updateTable('schedule')
    .set({ enabled: true, checked_at: sql<Date>`clock_timestamp() - ${wish.unjudged} * interval '1 minute'` })
    .where('id', '=', row.id)
    .execute();
  return row.id;
}

const disable = (id: string) => it.db.updateTable('schedule').set({ enabled: false }).where('id', '=', id).execute();

async function judged(id: string): Promise<Awaited<ReturnType<typeof listTicks>>> {
  await it.eventually('it was judged', async () => {
    const row = await it.db.selectFrom('schedule').select('checked_at').where('id', '=', id).executeTakeFirstOrThrow();
    return Date.now() - row.checked_at.getTime() < 90_000;
  });
  await disable(id);
  return listTicks(it.db, id);
}

test('of the ticks that were missed the newest fires, once, and the others are recorded', async () => {
  const transfer = await transferOf();
  const ticks = await judged(await schedule(transfer, { unjudged: 4, shutdownInstance: true }));
  const fired = ticks.filter((tick) => tick.outcome === 'fired');
  expect(fired.length).toBeGreaterThan(0);
  expect(ticks.filter((tick) => tick.outcome === 'missed').length).toBeGreaterThanOrEqual(2);
  const executionId = String(fired.at(-1)?.execution_id);
  expect(await it.until(executionId)).toBe('COMPLETED');
  const executions = await it.db.selectFrom('execution').selectAll().where('action_id', '=', transfer.id).execute();
  expect(executions.map((row) => row.id).sort()).toEqual(fired.map((tick) => String(tick.execution_id)).sort());
  expect((await it.tasks(executionId)).map((task) => task.task_type)).toContain('SHUTDOWN_INSTANCE');
});

test('a tick that was missed for more than an hour does not fire', async () => {
  const transfer = await transferOf();
  const then = new Date(Date.now() - 2 * 3_600_000);
  const rule = { hour: then.getUTCHours(), minute: then.getUTCMinutes() };
  const ticks = await judged(await schedule(transfer, { rule, unjudged: 180 }));
  expect(ticks.map((tick) => tick.outcome)).toEqual(['missed']);
  expect((await getTransfer(it.db, transfer.id))?.last_execution_status).toBe('UNEXECUTED');
});

test('a tick that finds a run under way is recorded as overlap, with the reason, and leaves no trace of a run', async () => {
  const transfer = await transferOf();
  await it.db
    .updateTable('transfer')
    .set({ options: JSON.stringify({ rate_limit: 1_000 }) })
    .where('id', '=', transfer.id)
    .execute();
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  const [tick] = await judged(await schedule(transfer, { unjudged: 1.5 }));
  expect(tick).toMatchObject({ outcome: 'overlap', execution_id: null });
  expect(tick?.reason).toContain(executionId);
  expect(await getTransfer(it.db, transfer.id)).toMatchObject({
    last_execution_number: 1,
    last_execution_status: 'RUNNING',
  });
  await it.engine.cancelExecution(executionId, true);
});

test('a tick that only the index refuses names the run in its way', async () => {
  const transfer = await transferOf();
  // Nobody walks it, so the transfer goes on saying that nothing of it is active.
  const active = await insertExecution(it.db, {
    actionId: transfer.id,
    actionType: 'transfer',
    type: 'transfer_execution',
  });
  const row = it.db.updateTable('transfer').set({ last_execution_status: 'COMPLETED' }).where('id', '=', transfer.id);
  await row.execute();
  const [tick] = await judged(await schedule(transfer, { unjudged: 1.5 }));
  expect(tick).toMatchObject({ outcome: 'overlap', execution_id: null });
  expect(tick?.reason).toContain(active.id);
});

test('an expired schedule fires no more, and neither does a disabled one or one of a deleted transfer', async () => {
  const expired = await transferOf();
  const gone = await transferOf();
  const off = await transferOf();
  await schedule(expired, { unjudged: 10, expiresInMinutes: -11 });
  const lastTicks = await schedule(expired, { unjudged: 10, expiresInMinutes: -5 });
  // Judged in a minute only, should the next one begin right now.
  const ofGone = await schedule(gone, { unjudged: -1 });
  await it.engine.deleteTransfer(gone.id);
  const disabled = await schedule(off, { unjudged: -1 });
  await disable(disabled);
  await it.db
    .updateTable('schedule')
    .set({ checked_at: sql<Date>`clock_timestamp() - interval '10 minutes'` })
    .where('id', 'in', [disabled, ofGone])
    .execute();
  // What was due before the expiry is made up for.
  const ticks = await judged(lastTicks);
  expect(ticks[0]?.outcome).toBe('fired');
  expect(Date.now() - (ticks[0]?.due_at.getTime() ?? 0)).toBeGreaterThan(4 * 60_000);
  expect(await listTicks(it.db, ofGone)).toEqual([]);
  expect(await listTicks(it.db, disabled)).toEqual([]);
  const others = (await listTransfers(it.db, undefined)).filter((row) => row.id === off.id || row.id === gone.id);
  expect(others.every((row) => row.last_execution_status === 'UNEXECUTED')).toBe(true);
});

test('what is to be deployed by itself waits, and can be called off while it waits', async () => {
  const transfer = await transferOf();
  await it.db
    .updateTable('transfer')
    .set({ options: JSON.stringify({ rate_limit: 1_000 }) })
    .where('id', '=', transfer.id)
    .execute();
  const ticks = await judged(await schedule(transfer, { unjudged: 1.5, autoDeploy: true }));
  const executionId = String(ticks.find((tick) => tick.outcome === 'fired')?.execution_id);
  const waiting = await it.db
    .selectFrom('deployment')
    .selectAll()
    .where('deployer_id', '=', executionId)
    .executeTakeFirstOrThrow();
  expect(waiting).toMatchObject({ last_execution_status: 'PENDING', user_id: 'tester' });
  await it.engine.cancelDeployment(waiting.id);
  await it.engine.limitTransfer(transfer.id, null);
  expect(await it.until(executionId)).toBe('COMPLETED');
  const after = await it.db
    .selectFrom('deployment')
    .select(['last_execution_status', 'last_execution_number'])
    .where('id', '=', waiting.id)
    .executeTakeFirstOrThrow();
  expect(after).toEqual({ last_execution_status: 'CANCELED', last_execution_number: 0 });
});
