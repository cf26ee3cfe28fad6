import { readFileSync } from 'node:fs';
import path from 'node:path';
import { getTransfer, listReceipts, listReplicaDisks } from '@godwit/store';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectEqualDisks, fileOf, MIB, rewrite, sparseBytes } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';

// Weak points of the original that no other test is about; docs/design/control-plane.md lists them all.

let it: TestInstallation;
let origin: string;
let destination: string;
let worker: TestWorker;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
  worker = it.worker();
  await worker.ready;
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

async function run(transferId: string): Promise<string> {
  const { executionId } = await it.engine.executeTransfer({ transferId });
  expect(await it.until(executionId)).toBe('COMPLETED');
  return executionId;
}

test('a first disk on which nothing changed does not hide what changed on the others', async () => {
  it.instance('src', 'idle', { vda: sparseBytes(2 * MIB), vdb: sparseBytes(2 * MIB), vdc: sparseBytes(2 * MIB) });
  const transfer = await it.transfer(origin, destination, ['idle']);
  await run(transfer.id);
  for (const changed of [['vdb', 'vdc'], ['vdc'], []]) {
    for (const disk of changed) rewrite(it, 'idle', disk, 70_000);
    const receipts = await listReceipts(it.db, it.projectId, { executionId: await run(transfer.id) });
    const sent = receipts.filter((row) => Number(row.document.bytes_sent) > 0).map((row) => row.disk_id);
    expect(sent.sort()).toEqual(changed);
    await expectEqualDisks(it, transfer.id, ['idle']);
  }
});

test('a failure beside tasks that were never to run leaves those alone, and nothing else fails with it', async () => {
  for (const name of ['one', 'two']) it.instance('src', name, { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, ['one', 'gone', 'two']);
  await worker.stopAt({ point: 'REPLICATE_DISKS:begin', action: 'pause' });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('the missing one has failed while another is under way', async () => {
    const tasks = await it.tasks(executionId);
    return tasks.some((task) => task.instance === 'gone' && task.status === 'ERROR') && worker.reached.length > 0;
  });
  const unscheduled = async () =>
    (await it.tasks(executionId)).filter((task) => task.status === 'UNSCHEDULED').map((task) => task.id);
  const before = await unscheduled();
  expect(before.length).toBeGreaterThan(0);
  worker.goOn('REPLICATE_DISKS:begin');
  expect(await it.until(executionId)).toBe('ERROR');
  expect(await unscheduled()).toEqual(expect.arrayContaining(before));
  const failed = (await it.tasks(executionId)).filter((task) => task.status === 'ERROR');
  expect(new Set(failed.map((task) => task.instance))).toEqual(new Set(['gone']));
  await expectEqualDisks(it, transfer.id, ['one', 'two']);
});

test('disks of the same id in two instances are two disks', async () => {
  const [left, right] = [sparseBytes(MIB), sparseBytes(MIB)];
  it.instance('src', 'left', { vda: left });
  it.instance('src', 'right', { vda: right });
  const transfer = await it.transfer(origin, destination, ['left', 'right']);
  await run(transfer.id);
  const disks = await listReplicaDisks(it.db, transfer.id);
  expect(disks.map((disk) => [disk.instance, disk.disk_id]).sort()).toEqual([
    ['left', 'vda'],
    ['right', 'vda'],
  ]);
  expect(new Set(disks.map(fileOf)).size).toBe(2);
  await expectEqualDisks(it, transfer.id, ['left', 'right']);
  expect((await getTransfer(it.db, transfer.id))?.last_execution_status).toBe('COMPLETED');
});

test('each test that the list of weak points names is there', () => {
  const root = path.join(import.meta.dirname, '../../..');
  const page = readFileSync(path.join(root, 'docs/design/control-plane.md'), 'utf8');
  const named = [...page.matchAll(/([\w/-]+\.test\.ts): "([^"]+)"/g)].map(([, file, name]) => ({
    file: file!,
    name: name!,
  }));
  expect(named.length).toBeGreaterThan(20);
  const missing = named.filter(
    ({ file, name }) => !readFileSync(path.join(root, 'packages', file), 'utf8').includes(name),
  );
  expect(missing).toEqual([]);
});
