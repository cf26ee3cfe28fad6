import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';

let it: TestInstallation;
let origin: string;
let destination: string;
let worker: TestWorker;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
  worker = it.worker();
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

let count = 0;
const nextName = (): string => {
  count += 1;
  return `vm${count}`;
};

const FAILURES = [
  'VALIDATE_TRANSFER_SOURCE_INPUTS:begin',
  'GET_INSTANCE_INFO:end',
  'VALIDATE_TRANSFER_DESTINATION_INPUTS:end',
  'DEPLOY_TRANSFER_DISKS:end',
  'REPLICATE_DISKS:frozen',
  'REPLICATE_DISKS:copied',
  'REPLICATE_DISKS:end',
  'DELETE_TRANSFER_SOURCE_RESOURCES:begin',
  'DELETE_TRANSFER_TARGET_RESOURCES:begin',
];

test.each(FAILURES)('a failure at %s leaves nothing of the execution, and the next one completes', async (point) => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(MIB), vdb: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, [name]);
  await worker.stopAt({ point, action: 'fail' });
  const failed = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(failed.executionId)).toBe('ERROR');
  const task = (await it.tasks(failed.executionId)).find((one) => one.status === 'ERROR');
  expect(task?.task_type).toBe(point.split(':')[0]);
  expect(task?.error).toMatchObject({ code: 'PLATFORM_ERROR' });
  await it.eventually('the ledger is clean', async () =>
    (await it.ledger()).every((line) => !line.startsWith('execution')),
  );
  expect(readdirSync(it.folder('src/.snapshots'))).toEqual([]);
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, [name]);
});

test.each(['GET_INSTANCE_INFO:begin', 'REPLICATE_DISKS:frozen', 'REPLICATE_DISKS:copied'])(
  'trouble of the passing kind at %s is waited out, and said',
  async (point) => {
    const name = nextName();
    it.instance('src', name, { vda: sparseBytes(MIB) });
    const transfer = await it.transfer(origin, destination, [name]);
    await worker.stopAt({ point, action: 'busy', times: 3 });
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(executionId)).toBe('COMPLETED');
    expect(worker.reached).toEqual([point, point, point]);
    const task = (await it.tasks(executionId)).find((one) => one.task_type === point.split(':')[0]);
    const events = await it.db
      .selectFrom('task_event')
      .selectAll()
      .where('task_id', '=', task?.id ?? '')
      .execute();
    expect(events.filter((event) => event.message.includes('Trying again.'))).toHaveLength(3);
    await expectEqualDisks(it, transfer.id, [name]);
  },
);

test('a Postgres that a step finds gone is waited for, whatever the step was doing', async () => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, [name]);
  await worker.stopAt({ point: 'REPLICATE_DISKS:frozen', action: 'offline', times: 2 });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId), await it.report(executionId)).toBe('COMPLETED');
  expect(worker.reached).toHaveLength(2);
  await expectEqualDisks(it, transfer.id, [name]);
});

test('trouble that does not pass fails the task when patience ends', async () => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, [name]);
  await worker.kill();
  worker = it.worker({ retry: { firstMs: 10, maxMs: 20, limitMs: 200 } });
  await worker.stopAt({ point: 'GET_INSTANCE_INFO:begin', action: 'busy', times: 1_000 });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId)).toBe('ERROR');
  const task = (await it.tasks(executionId)).find((one) => one.task_type === 'GET_INSTANCE_INFO');
  expect(task?.error).toMatchObject({ code: 'CONNECTION_FAILED' });
  await worker.kill();
  worker = it.worker();
});

test.each([
  'VALIDATE_DEPLOYMENT_INPUTS:begin',
  'CREATE_TRANSFER_DISK_SNAPSHOTS:end',
  'DEPLOY_INSTANCE_RESOURCES:end',
  'FINALIZE_INSTANCE_DEPLOYMENT:begin',
])('a deployment that fails at %s leaves no instance and the disks as they were', async (point) => {
  for (const cloneDisks of [true, false]) {
    const name = nextName();
    it.instance('src', name, { vda: sparseBytes(MIB) });
    const transfer = await it.transfer(origin, destination, [name]);
    await worker.stopAt({ point, action: 'fail' });
    const run = await it.engine.executeTransfer({ transferId: transfer.id });
    expect(await it.until(run.executionId)).toBe('COMPLETED');
    const { executionId } = await it.engine.deploy({ transferId: transfer.id, userId: 'tester', cloneDisks });
    expect(await it.until(executionId)).toBe('ERROR');
    const mine = await it.db
      .selectFrom('ledger')
      .select('state')
      .where('transfer_id', '=', transfer.id)
      .where('kind', '<>', 'disk')
      .execute();
    await it.eventually('the ledger is clean', async () => {
      const rows = await it.db
        .selectFrom('ledger')
        .select('kind')
        .where('transfer_id', '=', transfer.id)
        .where('kind', '<>', 'disk')
        .where('state', '<>', 'removed')
        .execute();
      return rows.length === 0;
    });
    expect(mine.length).toBeGreaterThan(0);
    expect(readdirSync(it.folder('dst')).filter((one) => one.startsWith(`${name}-`))).toEqual([]);
    await expectEqualDisks(it, transfer.id, [name]);
  }
});

test('an instance that runs stays although its restore point could not be removed, and outlives its deployment', async () => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, [name]);
  await it.until((await it.engine.executeTransfer({ transferId: transfer.id })).executionId);
  await worker.stopAt({ point: 'DELETE_TRANSFER_TARGET_DISK_SNAPSHOTS:begin', action: 'fail' });
  const request = { transferId: transfer.id, userId: 'tester', cloneDisks: false };
  const { executionId, deploymentId } = await it.engine.deploy(request);
  expect(await it.until(executionId)).toBe('ERROR');
  const kept = () =>
    it.db
      .selectFrom('ledger')
      .select(['kind', 'keep'])
      .where('transfer_id', '=', transfer.id)
      .where('state', '<>', 'removed')
      .orderBy('kind')
      .execute();
  await it.eventually('the restore point is reaped', async () => (await kept()).length === 2);
  await it.engine.deleteDeployment(deploymentId);
  await it.engine.deleteTransfer(transfer.id);
  const drop = await it.transfer(origin, destination, [name]);
  await it.until((await it.engine.executeTransfer({ transferId: drop.id })).executionId);
  expect(await kept()).toEqual([
    { kind: 'disk', keep: 'forever' },
    { kind: 'instance', keep: 'forever' },
  ]);
  expect(readdirSync(it.folder('dst')).filter((one) => one.startsWith(`${name}-`))).toHaveLength(1);
});

test('a snapshot that is lost is taken anew three times, then the task fails', async () => {
  const name = nextName();
  it.instance('src', name, { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, [name]);
  const lose = (times: number) => worker.stopAt({ point: 'REPLICATE_DISKS:copied', action: 'lose', times });
  await lose(3);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, [name]);
  expect(readdirSync(it.folder('src/.snapshots'))).toEqual([]);
  await lose(4);
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('ERROR');
  const again = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(again.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, [name]);
});
