import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { ensureRegion, getMinionPool, historyOfPool } from '@godwit/store';
import { afterEach, expect, test } from 'vitest';
import { MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

// What a pool says while those whom it needs are away: workers, or its platform.

const open: TestInstallation[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

async function installation(): Promise<TestInstallation> {
  const it = await TestInstallation.start();
  open.push(it);
  return it;
}

const heartbeat = { everyMs: 200, limitMs: 60_000 };
const events = async (it: TestInstallation, pool: string) => (await historyOfPool(it.db, pool)).events;
const warnings = async (it: TestInstallation, pool: string): Promise<string[]> =>
  (await events(it, pool)).filter((event) => event.level === 'WARNING').map((event) => event.message);

test('a pool of a region without a worker is IN_MAINTENANCE, says why once, and is made when a worker comes', async () => {
  const it = await installation();
  const cellar = await ensureRegion(it.db, 'cellar');
  await it.worker({ host: 'elsewhere', heartbeat }).ready;
  const pool = await it.pool(await it.endpoint('deep', [cellar.id]), 'destination');
  await it.eventually('the reason is told', async () => (await warnings(it, pool)).length > 0);
  expect(await warnings(it, pool)).toEqual([expect.stringContaining('No running worker can serve region cellar.')]);
  expect((await getMinionPool(it.db, pool))?.status).toBe('IN_MAINTENANCE');
  it.worker({ host: 'below', heartbeat, regions: ['cellar'] });
  await it.untilPool(pool, 'ALLOCATED');
  expect(await warnings(it, pool)).toHaveLength(1);
});

test('where no worker runs at all, the API says of pools and executions why they wait', async () => {
  const it = await installation();
  const [origin, destination] = [await it.endpoint('src'), await it.endpoint('dst')];
  it.instance('src', 'patient', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, ['patient']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  const pool = await it.pool(destination, 'destination');
  expect(await it.engine.explainWaiting()).toBe(2);
  expect(await it.engine.explainWaiting()).toBe(0);
  expect(await warnings(it, pool)).toEqual([expect.stringContaining('No running worker can serve this work.')]);
  const [first] = await it.tasks(executionId);
  const said = await it.db.selectFrom('task_event').selectAll().where('task_id', '=', first!.id).execute();
  expect(said.map((event) => event.message)).toEqual([expect.stringContaining('godwit server worker')]);
  it.worker({ host: 'late', heartbeat });
  expect(await it.until(executionId)).toBe('COMPLETED');
  await it.untilPool(pool, 'ALLOCATED');
});

test('a pool whose platform does not answer says so while it tries, ends in ERROR, and is made when it answers', async () => {
  const it = await installation();
  const destination = await it.endpoint('dst');
  const away = path.join(it.folder('dst'), '.away');
  writeFileSync(away, '');
  it.worker({ host: 'patient', retry: { firstMs: 50, maxMs: 100, limitMs: 1_000 } });
  const pool = await it.pool(destination, 'destination');
  await it.eventually('it tells that it tries', async () =>
    (await warnings(it, pool)).some((line) => line.includes('does not answer') && line.includes('Trying again')),
  );
  await it.untilPool(pool, 'ERROR');
  const told = (await events(it, pool)).filter((event) => event.level === 'ERROR');
  expect(told.map((event) => event.message)).toEqual([expect.stringContaining('it does not answer')]);
  rmSync(away);
  await it.engine.actOnPool(pool, 'deallocate');
  await it.untilPool(pool, 'DEALLOCATED');
  await it.engine.actOnPool(pool, 'allocate');
  await it.untilPool(pool, 'ALLOCATED');
});

test('machines that cannot be checked since their platform does not answer are ERROR, and serve again after it', async () => {
  const it = await installation();
  const destination = await it.endpoint('dst');
  it.worker({ host: 'patient', retry: { firstMs: 50, maxMs: 100, limitMs: 1_000 } });
  const pool = await it.pool(destination, 'destination');
  await it.untilPool(pool, 'ALLOCATED');
  const [before] = await it.machines(pool);
  writeFileSync(path.join(it.folder('dst'), '.away'), '');
  await it.engine.actOnPool(pool, 'refresh');
  await it.untilPool(pool, 'ALLOCATED');
  expect(await it.machines(pool)).toMatchObject([{ id: before?.id, allocation_status: 'ERROR' }]);
  expect((await warnings(it, pool)).at(-1)).toContain('it does not answer');
  rmSync(path.join(it.folder('dst'), '.away'));
  await it.engine.actOnPool(pool, 'refresh');
  await it.untilPool(pool, 'ALLOCATED');
  expect(await it.machines(pool)).toMatchObject([{ id: before?.id, allocation_status: 'AVAILABLE' }]);
});
