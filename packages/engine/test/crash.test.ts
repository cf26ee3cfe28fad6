import { readdirSync } from 'node:fs';
import { listReplicaDisks } from '@godwit/store';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectEqualDisks, fileOf, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';

let it: TestInstallation;
let origin: string;
let destination: string;
/** The present one: each test kills it, and its successor, which finishes the work, is the next test's victim. */
let worker: TestWorker;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
  worker = it.worker({ host: 'phoenix' });
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

const EXECUTION_POINTS = [
  'VALIDATE_TRANSFER_SOURCE_INPUTS:begin',
  'GET_INSTANCE_INFO:end',
  'VALIDATE_TRANSFER_DESTINATION_INPUTS:begin',
  'DEPLOY_TRANSFER_DISKS:begin',
  'DEPLOY_TRANSFER_DISKS:end',
  'SHUTDOWN_INSTANCE:begin',
  'SHUTDOWN_INSTANCE:end',
  'REPLICATE_DISKS:begin',
  'REPLICATE_DISKS:frozen',
  'REPLICATE_DISKS:copied',
  'REPLICATE_DISKS:completed',
  'REPLICATE_DISKS:end',
  'DELETE_TRANSFER_SOURCE_RESOURCES:begin',
  'DELETE_TRANSFER_SOURCE_RESOURCES:released',
  'DELETE_TRANSFER_SOURCE_RESOURCES:end',
  'DELETE_TRANSFER_TARGET_RESOURCES:begin',
];

let count = 0;
const nextName = (): string => {
  count += 1;
  return `vm${count}`;
};

test.each(EXECUTION_POINTS)(
  'a worker killed at %s goes on in the same place and the disks are right',
  async (point) => {
    const name = nextName();
    it.instance('src', name, { vda: sparseBytes(2 * MIB), vdb: sparseBytes(MIB) });
    const transfer = await it.transfer(origin, destination, [name]);
    await worker.stopAt({ point, action: 'kill' });
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id, shutdownInstances: true });
    await worker.exited;
    expect(worker.reached).toEqual([point]);
    worker = it.worker({ host: 'phoenix' });
    expect(await it.until(executionId)).toBe('COMPLETED');
    await expectEqualDisks(it, transfer.id, [name]);
    expect((await it.ledger()).filter((line) => line.startsWith('execution'))).toEqual([]);
    const attempts = (await it.tasks(executionId)).map((task) => task.attempt);
    expect(Math.max(...attempts)).toBe(2);
  },
);

const DEPLOYMENT_POINTS = [
  'VALIDATE_DEPLOYMENT_INPUTS:begin',
  'CREATE_TRANSFER_DISK_SNAPSHOTS:end',
  'DEPLOY_INSTANCE_RESOURCES:begin',
  'DEPLOY_INSTANCE_RESOURCES:end',
  'FINALIZE_INSTANCE_DEPLOYMENT:end',
  'DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS:deleted',
];

test.each(DEPLOYMENT_POINTS)('a deployment whose worker is killed at %s makes one instance', async (point) => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, [name]);
  const run = await it.engine.executeTransfer({ transferId: transfer.id });
  await worker.stopAt({ point, action: 'kill' });
  expect(await it.until(run.executionId)).toBe('COMPLETED');
  const { executionId } = await it.engine.deploy({ transferId: transfer.id, userId: 'tester', cloneDisks: true });
  await worker.exited;
  worker = it.worker({ host: 'phoenix' });
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(readdirSync(it.folder('dst')).filter((one) => one.startsWith(`${name}-`))).toHaveLength(1);
  await expectEqualDisks(it, transfer.id, [name]);
  expect((await it.ledger()).filter((line) => line.includes('disk_snapshot'))).toEqual([]);
});

test('a removal of disks whose worker is killed half-way is finished', async () => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(MIB), vdb: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, [name]);
  const run = await it.engine.executeTransfer({ transferId: transfer.id });
  await worker.stopAt({ point: 'DELETE_TRANSFER_DISKS:deleted', action: 'kill' });
  expect(await it.until(run.executionId)).toBe('COMPLETED');
  const files = (await listReplicaDisks(it.db, transfer.id)).map(fileOf);
  const { executionId } = await it.engine.deleteDisks(transfer.id);
  await worker.exited;
  worker = it.worker({ host: 'phoenix' });
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(await listReplicaDisks(it.db, transfer.id)).toEqual([]);
  const left = readdirSync(it.folder('dst'));
  expect(files.filter((file) => left.some((one) => file.endsWith(one)))).toEqual([]);
});

test('a worker killed again and again in the middle of a copy sends at most one window a kill again', async () => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(32 * MIB) });
  const transfer = await it.transfer(origin, destination, [name], { options: JSON.stringify({ rate_limit: 4 * MIB }) });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  const copying = async (atLeast: number): Promise<boolean> => {
    const [disk] = await listReplicaDisks(it.db, transfer.id);
    const progress = disk?.progress as { counters?: { bytesSent: number } } | null | undefined;
    return (progress?.counters?.bytesSent ?? 0) >= atLeast;
  };
  for (const sent of [MIB, 2 * MIB, 3 * MIB]) {
    await it.eventually('bytes flow', () => copying(sent));
    await worker.kill();
    worker = it.worker({ host: 'phoenix' });
  }
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, [name]);
  const receipt = await it.db
    .selectFrom('receipt')
    .selectAll()
    .where('execution_id', '=', executionId)
    .executeTakeFirstOrThrow();
  const sent = Number(receipt.document.bytes_sent);
  expect(sent - Number(receipt.document.bytes_resent)).toBeLessThanOrEqual(8 * MIB);
  expect(Number(receipt.document.bytes_resent)).toBeLessThanOrEqual(8 * MIB);
});
