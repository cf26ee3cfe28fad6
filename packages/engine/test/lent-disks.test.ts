import { closeSync, existsSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { listReceipts, listReplicaDisks, type Transfer } from '@godwit/store';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectEqualDisks, fileOf, MIB, rewrite, sparseBytes } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';
import type { Stop } from './worker-process.ts';

// Deployments that take the replica disks themselves, and deployments of what is not whole.

let it: TestInstallation;
let origin: string;
let destination: string;
let worker: TestWorker | undefined;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

async function withStops(...stops: Stop[]): Promise<TestWorker> {
  await worker?.kill();
  worker = it.worker({ host: 'lender', stops });
  return worker;
}

async function replicated(name: string, disks = ['vda', 'vdb']): Promise<Transfer> {
  it.instance('src', name, Object.fromEntries(disks.map((disk) => [disk, sparseBytes(2 * MIB)])));
  const transfer = await it.transfer(origin, destination, [name]);
  await withStops();
  expect(await execute(transfer)).toBe('COMPLETED');
  return transfer;
}

async function execute(transfer: Transfer): Promise<string> {
  return it.until((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
}

/** What a guest does that runs from the replica disks. */
async function scribble(transfer: Transfer): Promise<void> {
  for (const row of await listReplicaDisks(it.db, transfer.id)) {
    const handle = openSync(fileOf(row), 'r+');
    writeSync(handle, Buffer.alloc(100_000, 0xee), 0, 100_000, MIB);
    closeSync(handle);
  }
}

const deploy = (transfer: Transfer, more: { cloneDisks?: boolean; force?: boolean } = {}) =>
  it.engine.deploy({ transferId: transfer.id, userId: 'tester', ...more });

test('disks that a deployment took and never gave back are copied in full again', async () => {
  const transfer = await replicated('taken');
  const lender = await withStops({ point: 'FINALIZE_INSTANCE_DEPLOYMENT:begin', action: 'hang' });
  const { executionId } = await deploy(transfer, { cloneDisks: false });
  await it.eventually('the instance is there', () => lender.reached.length > 0);
  await scribble(transfer);
  await it.engine.cancelExecution(executionId, true);
  // Nobody knows what the disks hold: they are no base for another deployment either.
  await expect(deploy(transfer)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  await expect(deploy(transfer, { force: true })).rejects.toThrow(/did not give it back/);
  await withStops();
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['taken']);
  const receipts = await listReceipts(it.db, it.projectId, { executionId: next.executionId });
  for (const receipt of receipts) expect(Number(receipt.document.leaves_carried)).toBe(0);
});

test('disks that a failed deployment gave back are trusted again', async () => {
  const transfer = await replicated('given-back');
  const lender = await withStops({ point: 'DEPLOY_INSTANCE_RESOURCES:end', action: 'fail' });
  const { executionId } = await deploy(transfer, { cloneDisks: false });
  await it.eventually('the instance is there', () => lender.reached.length > 0);
  expect(await it.until(executionId)).toBe('ERROR');
  await expectEqualDisks(it, transfer.id, ['given-back']);
  expect((await listReplicaDisks(it.db, transfer.id)).map((row) => row.lent_to)).toEqual([null, null]);
  rewrite(it, 'given-back', 'vda', 70_000);
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['given-back']);
  const receipts = await listReceipts(it.db, it.projectId, { executionId: next.executionId });
  const sent = receipts.reduce((sum, receipt) => sum + Number(receipt.document.bytes_sent), 0);
  expect(sent).toBe(65_536);
});

test.each(['RESTORE_TRANSFER_DISK_SNAPSHOTS:begin', 'RESTORE_TRANSFER_DISK_SNAPSHOTS:restored'])(
  'a worker killed at %s brings the disks back all the same',
  async (point) => {
    const name = `killed-${point.split(':')[1]}`;
    const transfer = await replicated(name);
    const lender = await withStops(
      { point: 'FINALIZE_INSTANCE_DEPLOYMENT:begin', action: 'fail' },
      { point, action: 'kill' },
    );
    const { executionId } = await deploy(transfer, { cloneDisks: false });
    await lender.exited;
    if (point.endsWith('begin')) await scribble(transfer);
    await withStops();
    expect(await it.until(executionId)).toBe('ERROR');
    await expectEqualDisks(it, transfer.id, [name]);
    expect((await listReplicaDisks(it.db, transfer.id)).map((row) => row.lent_to)).toEqual([null, null]);
  },
);

test('a replica that an execution left half-way is not booted, unless by force', async () => {
  const transfer = await replicated('torn');
  rewrite(it, 'torn', 'vda', 70_000);
  await withStops({ point: 'REPLICATE_DISKS:copied', action: 'fail', times: 2 });
  expect(await execute(transfer)).toBe('ERROR');
  await expect(deploy(transfer)).rejects.toThrow(/half-way between two executions/);
  await withStops();
  const forced = await deploy(transfer, { force: true });
  expect(await it.until(forced.executionId)).toBe('COMPLETED');
  expect(await execute(transfer)).toBe('COMPLETED');
  expect(await it.until((await deploy(transfer)).executionId)).toBe('COMPLETED');
});

test('disks of two different moments are not booted together, unless by force', async () => {
  const transfer = await replicated('mixed');
  await withStops({ point: 'REPLICATE_DISKS:copied', action: 'fail', times: 1 });
  expect(await execute(transfer)).toBe('ERROR');
  await expect(deploy(transfer)).rejects.toThrow(/different moments \(vd. of execution \d, vd. of execution \d\)/);
  await withStops();
  expect(await execute(transfer)).toBe('COMPLETED');
  expect(await it.until((await deploy(transfer)).executionId)).toBe('COMPLETED');
});

test('an instance is not booted without a disk that was added since', async () => {
  const transfer = await replicated('grown');
  writeFileSync(path.join(it.folder('src/grown'), 'vdc.raw'), sparseBytes(MIB));
  await withStops({ point: 'DEPLOY_TRANSFER_DISKS:begin', action: 'fail' });
  expect(await execute(transfer)).toBe('ERROR');
  for (const force of [false, true]) {
    await expect(deploy(transfer, { force })).rejects.toThrow(/disk vdc of grown was never transferred/);
  }
  await withStops();
  expect(await execute(transfer)).toBe('COMPLETED');
  expect(await it.until((await deploy(transfer)).executionId)).toBe('COMPLETED');
});

test('a disk that went away does not keep the others from being booted', async () => {
  const transfer = await replicated('shrunk', ['vda', 'vdb', 'vdc']);
  rmSync(path.join(it.folder('src/shrunk'), 'vdb.raw'));
  expect(await execute(transfer)).toBe('COMPLETED');
  const { executionId } = await deploy(transfer);
  expect(await it.until(executionId)).toBe('COMPLETED');
  const made = readdirSync(it.folder('dst')).find((entry) => entry.startsWith('shrunk-')) ?? '';
  expect(readdirSync(it.folder(`dst/${made}`)).sort()).toEqual(['booted', 'vda.raw', 'vdc.raw']);
});

test('disks that were handed over outlive the transfer, however long ago they were made', async () => {
  const transfer = await replicated('old');
  const files = (await listReplicaDisks(it.db, transfer.id)).map(fileOf);
  expect(await execute(transfer)).toBe('COMPLETED');
  // Retention has forgotten the execution that made them, with its tasks.
  await it.db.deleteFrom('execution').where('action_id', '=', transfer.id).where('number', '=', 1).execute();
  expect(await it.until((await deploy(transfer, { cloneDisks: false })).executionId)).toBe('COMPLETED');
  await it.engine.deleteTransfer(transfer.id);
  const entries = () => it.db.selectFrom('ledger').selectAll().where('transfer_id', '=', transfer.id).execute();
  await it.eventually('the reaper has been there', async () =>
    (await entries()).every((row) => row.keep === 'forever' || row.state === 'removed'),
  );
  expect((await entries()).filter((row) => row.kind === 'disk').map((row) => row.keep)).toEqual(['forever', 'forever']);
  for (const file of files) expect(existsSync(file)).toBe(true);
});
