import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  ensureRegion,
  getExecution,
  getTransfer,
  intendLedger,
  listReplicaDisks,
  mapRegions,
  markMade,
  putSetting,
} from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { endpointRateSetting } from '../src/rate-limits.ts';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

let it: TestInstallation;

beforeAll(async () => {
  it = await TestInstallation.start();
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

test('the reaper removes only what the ledger names, says why it could not, and tries again', async () => {
  const worker = it.worker({ host: 'reaper' });
  const endpointId = await it.endpoint('reaped');
  const folder = it.folder('reaped');
  const owner = { projectId: it.projectId, endpointId, executionId: 'long gone' };
  const made = async (name: string) => {
    const file = path.join(folder, name);
    writeFileSync(file, '');
    const row = await intendLedger(it.db, owner, { kind: 'file', name, handle: { path: file } });
    await markMade(it.db, row.id);
    return row.id;
  };
  writeFileSync(path.join(folder, 'not ours'), '');
  await made('ours');
  const stuck = path.join(folder, 'stuck');
  const id = (await intendLedger(it.db, owner, { kind: 'file', name: 'stuck', handle: { path: `${stuck}/a/b` } })).id;
  writeFileSync(stuck, 'a file where the path wants a folder');
  await it.eventually('ours is gone', () => !existsSync(path.join(folder, 'ours')));
  const entry = () => it.db.selectFrom('ledger').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  await it.eventually('the reason stands in the ledger', async () => (await entry()).last_error !== null);
  expect((await entry()).last_error).toContain('ENOTDIR');
  expect(await entry()).toMatchObject({ state: 'removing' });
  rmSync(stuck);
  mkdirSync(path.join(stuck, 'a/b'), { recursive: true });
  // Its next try is due, and whatever was asked for when it was announced would have appeared by now.
  await sql`update ledger set created_at = 'epoch', updated_at = 'epoch' where id = ${id}`.execute(it.db);
  await sql`select pg_notify('godwit_reap', '')`.execute(it.db);
  await it.eventually('it is removed at last', async () => (await entry()).state === 'removed');
  expect(existsSync(path.join(folder, 'not ours'))).toBe(true);
  await worker.kill();
});

test('work goes to workers of its region, whoever walks the execution', async () => {
  const region = await ensureRegion(it.db, 'cellar');
  it.instance('deep', 'vault', { vda: sparseBytes(MIB) });
  const origin = await it.endpoint('deep', [region.id]);
  const destination = await it.endpoint('dst');
  const outside = it.worker({ host: 'outside' });
  await outside.ready;
  const transfer = await it.transfer(origin, destination, ['vault']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('it waits for the region', async () => {
    const tasks = await it.tasks(executionId);
    return tasks.some((task) => task.status === 'PENDING');
  });
  const inside = it.worker({ host: 'inside', regions: ['cellar'] });
  expect(await it.until(executionId)).toBe('COMPLETED');
  const tasks = await it.tasks(executionId);
  const hosts = (types: string[]) =>
    new Set(tasks.filter((task) => types.includes(task.task_type)).map((task) => task.host));
  expect(hosts(['GET_INSTANCE_INFO', 'VALIDATE_TRANSFER_SOURCE_INPUTS', 'REPLICATE_DISKS'])).toEqual(
    new Set(['inside']),
  );
  expect(await it.engine.callProvider(origin, 'validateConnection', {})).toBeNull();
  await outside.kill();
  await inside.kill();
});

test('a worker whose regions are taken away is asked no more', async () => {
  const region = await ensureRegion(it.db, 'attic');
  const endpoint = await it.endpoint('attic', [region.id]);
  const worker = it.worker({ host: 'attic', regions: ['attic'] });
  await worker.ready;
  expect(await it.engine.callProvider(endpoint, 'validateConnection', {})).toBeNull();
  const service = await it.db.selectFrom('service').select('id').where('host', '=', 'attic').executeTakeFirstOrThrow();
  await mapRegions(it.db, 'service', service.id, []);
  await expect(it.engine.callProvider(endpoint, 'validateConnection', {})).rejects.toMatchObject({ code: 'NO_WORKER' });
  await worker.kill();
});

test('what ended long ago is forgotten, but never the newest execution of a transfer', async () => {
  it.instance('src', 'old', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['old']);
  const worker = it.worker({ host: 'old' });
  const ids: string[] = [];
  for (let run = 0; run < 2; run += 1) {
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(executionId)).toBe('COMPLETED');
    ids.push(executionId);
  }
  await worker.kill();
  const long = sql<Date>`now() - interval '40 days'`;
  await it.db.updateTable('execution').set({ finished_at: long }).where('id', 'in', ids).execute();
  await sql`update dbos.workflow_status set completed_at = extract(epoch from now() - interval '40 days') * 1000
    where workflow_uuid = ${`execution:${ids[0]}`}`.execute(it.db);
  const next = it.worker({ host: 'old' });
  await it.eventually('the older one is forgotten', async () => {
    const rows = await it.db.selectFrom('execution').select('id').where('id', 'in', ids).execute();
    return rows.length === 1 && rows[0]?.id === ids[1];
  });
  const { rows } = await sql<{ id: string }>`
    select workflow_uuid as id from dbos.workflow_status where workflow_uuid like 'execution:%'`.execute(it.db);
  expect(rows.map((row) => row.id)).not.toContain(`execution:${ids[0]}`);
  expect(rows.map((row) => row.id)).toContain(`execution:${ids[1]}`);
  await next.kill();
});

test('a limit of an endpoint or a transfer slows a copy that is under way, and lifting it lets it go', async () => {
  it.instance('slow', 'snail', { vda: sparseBytes(32 * MIB) });
  const origin = await it.endpoint('slow');
  const destination = await it.endpoint('dst');
  await putSetting(it.db, endpointRateSetting(destination), 100_000);
  // Hours at that pace: it ends only when a change counts for what runs, and for what waits for its bytes.
  const transfer = await it.transfer(origin, destination, ['snail'], {
    options: JSON.stringify({ rate_limit: 1_000 }),
  });
  const worker = it.worker({ host: 'snail' });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('it crawls', async () => {
    const [disk] = await listReplicaDisks(it.db, transfer.id);
    return disk?.progress !== null && disk?.progress !== undefined;
  });
  expect(await it.until(executionId, ['RUNNING'])).toBe('RUNNING');
  await putSetting(it.db, endpointRateSetting(destination), 0);
  // The endpoint lets go of all that runs here: what holds the snail now is its own limit.
  it.instance('slow', 'hare', { vda: sparseBytes(32 * MIB) });
  const hare = await it.transfer(origin, destination, ['hare']);
  for (let round = 0; round < 2; round += 1) {
    const run = await it.engine.executeTransfer({ transferId: hare.id });
    expect(await it.until(run.executionId)).toBe('COMPLETED');
  }
  expect((await getExecution(it.db, executionId))?.status).toBe('RUNNING');
  await expect(it.engine.limitTransfer(transfer.id, 0)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  await it.engine.limitTransfer(transfer.id, 1_000_000_000);
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect((await getTransfer(it.db, transfer.id))?.options).toEqual({ rate_limit: 1_000_000_000 });
  await it.engine.limitTransfer(transfer.id, null);
  expect((await getTransfer(it.db, transfer.id))?.options).toEqual({});
  await expectEqualDisks(it, transfer.id, ['snail'], 'slow');
  await worker.kill();
});

test('every change of a task, an execution and a disk is an event', async () => {
  it.instance('src', 'told', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['told']);
  const worker = it.worker({ host: 'told' });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId)).toBe('COMPLETED');
  const events = await it.db.selectFrom('event').selectAll().orderBy('id').execute();
  const mine = events.filter(
    (event) =>
      event.object_id === executionId || event.object_id === transfer.id || event.payload.execution_id === executionId,
  );
  expect(mine.every((event) => event.project_id === it.projectId)).toBe(true);
  expect(mine.filter((event) => event.type === 'execution.updated').map((event) => event.payload.status)).toEqual([
    'RUNNING',
    'RUNNING',
    'COMPLETED',
  ]);
  const copy = mine
    .filter((event) => event.payload.task_type === 'REPLICATE_DISKS')
    .map((event) => event.payload.status);
  expect(copy).toEqual(['PENDING', 'RUNNING', 'COMPLETED']);
  expect(mine.filter((event) => event.type === 'progress').at(-1)?.payload.disk).toMatchObject({
    disk_id: 'vda',
    phase: 'done',
  });
  await worker.kill();
});
