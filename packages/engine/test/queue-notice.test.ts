import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

// How soon work is taken from a queue. Workers that look by themselves once an hour show what notices alone do.

const HOUR_MS = 3_600_000;

const open: TestInstallation[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

async function installation(): Promise<TestInstallation> {
  const it = await TestInstallation.start();
  open.push(it);
  return it;
}

async function start(it: TestInstallation, instance: string, more: object = {}): Promise<string> {
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), [instance], more);
  return (await it.engine.executeTransfer({ transferId: transfer.id })).executionId;
}

test('a notice brings a worker to each queue at once: no task waits for its next look', async () => {
  const it = await installation();
  await it.worker({ pollMs: HOUR_MS }).ready;
  it.instance('src', 'vm', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['vm']);
  for (let round = 0; round < 3; round += 1) {
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(executionId)).toBe('COMPLETED');
  }
  await expectEqualDisks(it, transfer.id, ['vm']);
});

test('what was queued while no worker ran is taken by the first one that begins', async () => {
  const it = await installation();
  it.instance('src', 'vm', { vda: sparseBytes(MIB) });
  const executionId = await start(it, 'vm');
  await it.worker({ pollMs: HOUR_MS }).ready;
  expect(await it.until(executionId)).toBe('COMPLETED');
});

test('a worker that could not hear for a while looks for what it has missed', async () => {
  const it = await installation();
  await it.worker({ host: 'deaf', pollMs: HOUR_MS }).ready;
  it.instance('src', 'vm', { vda: sparseBytes(MIB) });
  await sql`alter table dbos.workflow_status disable trigger godwit_queued`.execute(it.db);
  const executionId = await start(it, 'vm');
  await sql`alter table dbos.workflow_status enable trigger godwit_queued`.execute(it.db);
  const { rows } = await sql<{ ended: boolean }>`select pg_terminate_backend(pid) as ended from pg_stat_activity
    where application_name = 'godwit-worker-ears' and datname = current_database()`.execute(it.db);
  expect(rows).toEqual([{ ended: true }]);
  expect(await it.until(executionId)).toBe('COMPLETED');
});

test('without notices work is taken all the same', async () => {
  const it = await installation();
  await it.worker().ready;
  await sql`alter table dbos.workflow_status disable trigger user`.execute(it.db);
  it.instance('src', 'vm', { vda: sparseBytes(MIB) });
  expect(await it.until(await start(it, 'vm'))).toBe('COMPLETED');
});

test('what one worker leaves to another is taken by that one without its looking', async () => {
  const it = await installation();
  const hosts = ['one', 'two'];
  for (const host of hosts) await it.worker({ host, pollMs: HOUR_MS }).ready;
  const options = JSON.stringify({ rate_limit: 100_000 });
  const executions: string[] = [];
  for (const instance of ['vm0', 'vm1']) {
    it.instance('src', instance, { vda: sparseBytes(64 * MIB) });
    executions.push(await start(it, instance, { options }));
  }
  const copies = async () => {
    const tasks = await Promise.all(executions.map((id) => it.tasks(id)));
    return tasks.flat().filter((task) => task.task_type === 'REPLICATE_DISKS' && task.status === 'RUNNING');
  };
  await it.eventually('both copy', async () => (await copies()).length === 2);
  expect((await copies()).map((task) => task.host).sort()).toEqual(hosts);
  for (const id of executions) await it.engine.cancelExecution(id, true);
});

test('a copy that waits for room begins when another one has ended', async () => {
  const it = await installation();
  await it.worker({ copies: 1, pollMs: HOUR_MS }).ready;
  it.instance('src', 'slow', { vda: sparseBytes(64 * MIB) });
  it.instance('src', 'next', { vda: sparseBytes(MIB) });
  const copyOf = async (id: string) => (await it.tasks(id)).find((task) => task.task_type === 'REPLICATE_DISKS');
  const slow = await start(it, 'slow', { options: JSON.stringify({ rate_limit: 100_000 }) });
  await it.eventually('it copies', async () => (await copyOf(slow))?.status === 'RUNNING');
  const next = await start(it, 'next');
  await it.eventually('the next one waits', async () => (await copyOf(next))?.status === 'PENDING');
  await it.engine.cancelExecution(slow);
  expect(await it.until(next)).toBe('COMPLETED');
});

test('a worker that is disabled takes nothing, whatever notices say', async () => {
  const it = await installation();
  const worker = it.worker({ host: 'only', pollMs: HOUR_MS, heartbeat: { everyMs: 200, limitMs: 60_000 } });
  await worker.ready;
  const enable = (enabled: boolean) => it.db.updateTable('service').set({ enabled }).execute();
  await enable(false);
  await it.eventually('it has heard', () => /disabled: takes no new work/.test(worker.log));
  it.instance('src', 'vm', { vda: sparseBytes(MIB) });
  const executionId = await start(it, 'vm');
  const waits = async () => (await it.db.selectFrom('task_event').select('message').execute()).length > 0;
  await it.eventually('the reason is told', waits);
  const { walk_no } = await it.db
    .selectFrom('execution')
    .select('walk_no')
    .where('id', '=', executionId)
    .executeTakeFirstOrThrow();
  expect(walk_no).toBe(0);
  await enable(true);
  await it.eventually('it has heard again', () => /\benabled: takes work/.test(worker.log));
  expect(await it.until(executionId)).toBe('COMPLETED');
});
