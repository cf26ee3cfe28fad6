import { createPublicKey } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { checkReceipt } from '@godwit/disk';
import type { JsonObject } from '@godwit/domain';
import {
  getDeployment,
  getSetting,
  getTransfer,
  insertExecution,
  listReceipts,
  listReplicaDisks,
  listResources,
} from '@godwit/store';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { receiptKeySetting } from '../src/receipt-signer.ts';
import { expectEqualDisks, fileOf, MIB, rewrite, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

let it: TestInstallation;
let origin: string;
let destination: string;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
  await it.worker().ready;
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

async function transferOf(instances: string[]) {
  return it.transfer(origin, destination, instances);
}

test('an execution copies every disk, proves it and leaves nothing but the replica disks', async () => {
  it.instance('src', 'web', { vda: sparseBytes(3 * MIB), vdb: Buffer.alloc(MIB), vdc: sparseBytes(100_000) });
  const transfer = await transferOf(['web']);
  const first = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(first.number).toBe(1);
  expect(await it.until(first.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['web']);

  const receipts = await listReceipts(it.db, it.projectId, { executionId: first.executionId });
  expect(receipts.map((row) => row.disk_id).sort()).toEqual(['vda', 'vdb', 'vdc']);
  for (const row of receipts) {
    const pem = await getSetting(it.db, receiptKeySetting(String(row.document.key_id)));
    expect(checkReceipt(row.document as JsonObject, createPublicKey(String(pem))).result).toBe('match');
  }
  expect((await it.ledger()).filter((line) => line.startsWith('execution'))).toEqual([]);
  expect(readdirSync(it.folder('src/.snapshots'))).toEqual([]);
  expect((await getTransfer(it.db, transfer.id))?.last_execution_status).toBe('COMPLETED');
  expect((await it.tasks(first.executionId)).every((task) => task.status === 'COMPLETED' && task.attempt === 1)).toBe(
    true,
  );

  rewrite(it, 'web', 'vda', 70_000);
  const second = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(second.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['web']);
  const [again] = await listReceipts(it.db, it.projectId, { executionId: second.executionId, diskId: 'vda' });
  expect(again?.document.bytes_sent).toBe(65_536);
});

test('the live counters of each disk end at its size', async () => {
  it.instance('src', 'counted', { vda: sparseBytes(2 * MIB) });
  const transfer = await transferOf(['counted']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId)).toBe('COMPLETED');
  const task = (await it.tasks(executionId)).find((one) => one.task_type === 'REPLICATE_DISKS');
  const lines = await it.db
    .selectFrom('progress_update')
    .selectAll()
    .where('task_id', '=', task?.id ?? '')
    .execute();
  expect(lines.map((line) => line.disk)).toEqual([
    expect.objectContaining({ disk_id: 'vda', size: 2 * MIB, done: 2 * MIB, sent: MIB / 2, phase: 'done' }),
  ]);
});

test('an instance that is not there fails alone, with its error, and the others complete', async () => {
  it.instance('src', 'good', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['good', 'missing']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId)).toBe('ERROR');
  await expectEqualDisks(it, transfer.id, ['good']);
  const tasks = await it.tasks(executionId);
  expect(tasks.filter((task) => task.instance === 'good').every((task) => task.status === 'COMPLETED')).toBe(true);
  const failed = tasks.find((task) => task.instance === 'missing' && task.task_type === 'GET_INSTANCE_INFO');
  expect(failed).toMatchObject({ status: 'ERROR', error: { code: 'NOT_FOUND', object: 'instance missing' } });
  expect(failed?.exception_details).toContain('NOT_FOUND: instance missing not found.');
});

test('a second execution is refused while one is active, and the refusal leaves no trace', async () => {
  it.instance('src', 'busy', { vda: sparseBytes(4 * MIB) });
  const transfer = await it.transfer(origin, destination, ['busy'], { options: JSON.stringify({ rate_limit: MIB }) });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await expect(it.engine.executeTransfer({ transferId: transfer.id })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  await expect(it.engine.deleteTransfer(transfer.id)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  const rows = await it.db.selectFrom('execution').select('id').where('action_id', '=', transfer.id).execute();
  expect(rows).toHaveLength(1);
  await it.engine.cancelExecution(executionId);
  await it.until(executionId);
});

test('an execution that only the index refuses is told which one is active, too', async () => {
  it.instance('src', 'hidden', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['hidden']);
  // Nobody walks it, so the transfer goes on saying that nothing of it is active.
  const active = await insertExecution(it.db, {
    actionId: transfer.id,
    actionType: 'transfer',
    type: 'transfer_execution',
  });
  const row = it.db.updateTable('transfer').set({ last_execution_status: 'COMPLETED' }).where('id', '=', transfer.id);
  await row.execute();
  const refused = {
    code: 'BAD_REQUEST',
    message: `Another tasks execution is in progress: ['${active.id}']`,
  };
  await expect(it.engine.executeTransfer({ transferId: transfer.id })).rejects.toMatchObject(refused);
  await expect(it.engine.updateTransfer({ transferId: transfer.id, change: () => ({}) })).rejects.toMatchObject(
    refused,
  );
});

test('a transfer is stopped at the source when it is cut over, and proven whole', async () => {
  it.instance('src', 'cut', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['cut']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id, shutdownInstances: true });
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(existsSync(path.join(it.folder('src/cut'), 'stopped'))).toBe(true);
  const [receipt] = await listReceipts(it.db, it.projectId, { executionId });
  expect(receipt?.document).toMatchObject({ verify: 'whole', audit: 'whole', leaves_reread: 16 });
});

test('an automatic deployment starts when its execution completes and tells what the instance became', async () => {
  it.instance('src', 'auto', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['auto']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id, autoDeploy: true });
  const [pending] = await it.db.selectFrom('deployment').selectAll().where('transfer_id', '=', transfer.id).execute();
  expect(pending?.deployer_id).toBe(executionId);
  expect(await it.until(executionId)).toBe('COMPLETED');
  await it.eventually('the deployment completes', async () => {
    const now = await getDeployment(it.db, pending?.id ?? '');
    return now?.last_execution_status === 'COMPLETED';
  });
  const done = await getDeployment(it.db, pending?.id ?? '');
  expect(done?.transfer_result).toMatchObject({ auto: { running: true } });
  const inventory = await listResources(it.db, it.projectId, { endpointId: origin, name: 'auto' });
  expect(inventory).toMatchObject([{ kind: 'instance', external_id: 'auto', migrated: true }]);
  expect((await it.ledger()).filter((line) => line.includes('disk_snapshot'))).toEqual([]);
});

test('an automatic deployment is called off when its execution fails', async () => {
  const transfer = await transferOf(['nowhere']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id, autoDeploy: true });
  expect(await it.until(executionId)).toBe('ERROR');
  const [deployment] = await it.db
    .selectFrom('deployment')
    .selectAll()
    .where('transfer_id', '=', transfer.id)
    .execute();
  expect(deployment?.last_execution_status).toBe('ERROR');
});

test('a deployment says which user scripts it did not run, unless OS morphing is skipped', async () => {
  it.instance('src', 'scripted', { vda: sparseBytes(MIB) });
  const script = { phase: 'osmorphing_post_os_mount', payload: 'true' };
  const user_scripts = JSON.stringify({ global: {}, instances: { scripted: [script] } });
  const transfer = await it.transfer(origin, destination, ['scripted'], { user_scripts });
  await it.until((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  const said = async (skipOsMorphing: boolean) => {
    const { executionId } = await it.engine.deploy({ transferId: transfer.id, userId: 'tester', skipOsMorphing });
    expect(await it.until(executionId)).toBe('COMPLETED');
    const tasks = (await it.tasks(executionId)).map((task) => task.id);
    const lines = await it.db.selectFrom('progress_update').select('message').where('task_id', 'in', tasks).execute();
    return lines.map((line) => line.message);
  };
  const line = '1 user script was kept and not run: OS morphing is not part of this version';
  expect(await said(false)).toContain(line);
  expect((await said(true)).join()).not.toContain('OS morphing');
});

test('a test failover lives until its deployment is deleted, and replication goes on meanwhile', async () => {
  it.instance('src', 'drill', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['drill']);
  await it.until((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  const deployed = await it.engine.deploy({ transferId: transfer.id, userId: 'tester', test: true });
  expect(await it.until(deployed.executionId)).toBe('COMPLETED');
  const found = () => readdirSync(it.folder('dst')).filter((name) => name.startsWith('test-drill'));
  expect(found()).toHaveLength(1);
  expect(await listResources(it.db, it.projectId, { name: 'drill', migrated: true })).toEqual([]);

  rewrite(it, 'drill', 'vda', 5_000);
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['drill']);
  expect(found()).toHaveLength(1);

  await it.engine.deleteDeployment(deployed.deploymentId);
  await it.eventually('the test instance is gone', () => found().length === 0);
  await expectEqualDisks(it, transfer.id, ['drill']);
});

test('disks that were not cloned belong to the instance, and the transfer begins anew', async () => {
  it.instance('src', 'taken', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['taken']);
  await it.until((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  const [disk] = await listReplicaDisks(it.db, transfer.id);
  const file = fileOf(disk);
  const { executionId } = await it.engine.deploy({ transferId: transfer.id, userId: 'tester', cloneDisks: false });
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(await listReplicaDisks(it.db, transfer.id)).toEqual([]);
  await it.engine.deleteTransfer(transfer.id);
  const row = await it.db
    .selectFrom('ledger')
    .selectAll()
    .where('transfer_id', '=', transfer.id)
    .where('kind', '=', 'disk')
    .executeTakeFirstOrThrow();
  expect(row).toMatchObject({ keep: 'forever', state: 'made' });
  expect(existsSync(file)).toBe(true);
});

test('deleting disks removes them and what is known of them', async () => {
  it.instance('src', 'gone', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['gone']);
  await it.until((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  const [disk] = await listReplicaDisks(it.db, transfer.id);
  const { executionId } = await it.engine.deleteDisks(transfer.id);
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(await listReplicaDisks(it.db, transfer.id)).toEqual([]);
  expect(existsSync(fileOf(disk))).toBe(false);
  await expect(it.engine.deploy({ transferId: transfer.id, userId: 'tester' })).rejects.toMatchObject({
    code: 'BAD_REQUEST',
  });
});

test('deleting a transfer removes its disks by what the ledger says', async () => {
  it.instance('src', 'dropped', { vda: sparseBytes(MIB) });
  const transfer = await transferOf(['dropped']);
  await it.until((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  const [disk] = await listReplicaDisks(it.db, transfer.id);
  await it.engine.deleteTransfer(transfer.id);
  await it.eventually('the disk is gone', () => !existsSync(fileOf(disk)));
});

test('calls reach a provider and bring back its answer or its own error', async () => {
  expect(await it.engine.callProvider(origin, 'validateConnection', {})).toBeNull();
  const list = await it.engine.callProvider(origin, 'listInstances', { query: { environment: {} } });
  expect(list.map((one) => one.name)).toContain('web');
  await expect(it.engine.callProvider(origin, 'getInstance', { id: 'nobody', environment: {} })).rejects.toMatchObject({
    code: 'NOT_FOUND',
    object: 'instance nobody',
  });
  await expect(it.engine.callProvider(origin, 'listStorage', { environment: {} })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
  });
  const lost = await it.endpoint('lost');
  rmSync(it.folder('lost'), { recursive: true });
  await expect(it.engine.callProvider(lost, 'validateConnection', {})).rejects.toMatchObject({
    code: 'CONNECTION_FAILED',
  });
  const calls = await it.db.selectFrom('setting').select('key').where('key', 'like', 'provider_call%').execute();
  expect(calls).toEqual([]);
});

test('a call that no worker can serve is refused at once', async () => {
  const far = await it.db
    .insertInto('region')
    .values({ id: 'far', name: 'far' })
    .returning('id')
    .executeTakeFirstOrThrow();
  const alone = await it.endpoint('alone', [far.id]);
  await expect(it.engine.callProvider(alone, 'validateConnection', {})).rejects.toMatchObject({ code: 'NO_WORKER' });
});
