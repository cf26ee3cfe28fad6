import { readdirSync } from 'node:fs';
import { ensureRegion, getExecution, listReplicaDisks } from '@godwit/store';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

let it: TestInstallation;
let origin: string;
let destination: string;

beforeAll(async () => {
  it = await TestInstallation.start();
  origin = await it.endpoint('src');
  destination = await it.endpoint('dst');
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

/** Starts a copy that takes minutes at its rate limit, and waits until bytes flow. */
async function slowCopy(name: string) {
  it.instance('src', name, { vda: sparseBytes(64 * MIB), vdb: sparseBytes(64 * MIB) });
  const transfer = await it.transfer(origin, destination, [name], { options: JSON.stringify({ rate_limit: MIB }) });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('bytes flow', async () => {
    const disks = await listReplicaDisks(it.db, transfer.id);
    const sent = disks.map(
      (disk) => (disk.progress as { counters?: { bytesSent: number } } | null)?.counters?.bytesSent,
    );
    return sent.some((bytes) => (bytes ?? 0) > 0);
  });
  return { transfer, executionId };
}

const statuses = async (executionId: string): Promise<Record<string, string>> =>
  Object.fromEntries((await it.tasks(executionId)).map((task) => [task.task_type, task.status]));

/** Takes the brake off, so that the next run ends soon. */
async function unlimited(transferId: string): Promise<void> {
  await it.db.updateTable('transfer').set({ options: '{}' }).where('id', '=', transferId).execute();
}

test('a cancel in the middle of a copy stops it, cleans up, and the next execution goes on from what is there', async () => {
  const worker = it.worker({ host: 'cancel' });
  const { executionId, transfer } = await slowCopy('canceled');
  await it.engine.cancelExecution(executionId);
  expect(await it.until(executionId)).toBe('CANCELED');
  expect(await statuses(executionId)).toMatchObject({
    DEPLOY_TRANSFER_DISKS: 'COMPLETED',
    REPLICATE_DISKS: 'CANCELED',
    DELETE_TRANSFER_SOURCE_RESOURCES: 'COMPLETED',
    DELETE_TRANSFER_TARGET_RESOURCES: 'COMPLETED',
  });
  expect(readdirSync(it.folder('src/.snapshots'))).toEqual([]);
  expect((await it.ledger()).filter((line) => line.startsWith('execution'))).toEqual([]);
  await expect(it.engine.cancelExecution(executionId)).rejects.toMatchObject({ code: 'BAD_REQUEST' });

  await unlimited(transfer.id);
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['canceled']);
  await worker.kill();
});

test('a cancel reaches a copy that another worker runs than the one that walks its execution', async () => {
  const region = await ensureRegion(it.db, 'cellar');
  const away = await it.endpoint('away', [region.id]);
  it.instance('away', 'far', { vda: sparseBytes(64 * MIB) });
  const options = JSON.stringify({ rate_limit: 100_000 });
  const transfer = await it.transfer(away, destination, ['far'], { options });
  const walker = it.worker({ host: 'walker' });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('its first step', async () => {
    const execution = await getExecution(it.db, executionId);
    return (execution?.started_at ?? null) !== null;
  });
  const copier = it.worker({ host: 'copier', regions: ['cellar'] });
  const copy = async () => (await it.tasks(executionId)).find((task) => task.task_type === 'REPLICATE_DISKS');
  await it.eventually('it copies', async () => (await listReplicaDisks(it.db, transfer.id))[0]?.progress != null);
  expect(await copy()).toMatchObject({ host: 'copier', status: 'RUNNING' });
  await it.engine.cancelExecution(executionId);
  expect(await it.until(executionId)).toBe('CANCELED');
  expect(await copy()).toMatchObject({ host: 'copier', status: 'CANCELED' });
  await copier.kill();
  await walker.kill();
});

test('a force cancel ends the execution at once, the copy soon, and the ledger empties by itself', async () => {
  const worker = it.worker({ host: 'force' });
  const { executionId, transfer } = await slowCopy('forced');
  await it.engine.cancelExecution(executionId, true);
  expect(await it.until(executionId)).toBe('CANCELED');
  expect(await statuses(executionId)).toMatchObject({
    REPLICATE_DISKS: 'FORCE_CANCELED',
    DELETE_TRANSFER_SOURCE_RESOURCES: 'UNSCHEDULED',
  });
  await it.eventually('the snapshot is gone', () => readdirSync(it.folder('src/.snapshots')).length === 0);
  await it.eventually('the ledger is clean', async () =>
    (await it.ledger()).every((line) => line.startsWith('transfer')),
  );
  await unlimited(transfer.id);
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['forced']);
  await worker.kill();
});

test('a force cancel works on a step that hears nothing', async () => {
  it.instance('src', 'deaf', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, ['deaf']);
  const worker = it.worker({ host: 'deaf', stops: [{ point: 'DEPLOY_TRANSFER_DISKS:begin', action: 'hang' }] });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('it hangs', () => worker.reached.length === 1);
  await it.engine.cancelExecution(executionId);
  expect(await it.until(executionId, ['CANCELLING'])).toBe('CANCELLING');
  await it.engine.cancelExecution(executionId, true);
  expect(await it.until(executionId)).toBe('CANCELED');
  const next = await it.engine.executeTransfer({ transferId: transfer.id });
  expect(await it.until(next.executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['deaf']);
  await worker.kill();
});

test('a cancel whose worker dies is carried to its end by the next one', async () => {
  const worker = it.worker({ host: 'dying' });
  const { executionId } = await slowCopy('dying');
  worker.process.kill('SIGSTOP');
  await it.engine.cancelExecution(executionId);
  await worker.kill();
  const next = it.worker({ host: 'dying' });
  expect(await it.until(executionId)).toBe('CANCELED');
  expect((await it.ledger()).filter((line) => line.startsWith('execution'))).toEqual([]);
  await next.kill();
});

test('a cancel before any worker has taken the execution leaves nothing to do', async () => {
  it.instance('src', 'early', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, ['early']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.engine.cancelExecution(executionId);
  const worker = it.worker({ host: 'early' });
  expect(await it.until(executionId)).toBe('CANCELED');
  expect(new Set(Object.values(await statuses(executionId)))).toEqual(new Set(['UNSCHEDULED']));
  await worker.kill();
});

test('a deployment that waits for its execution is canceled at once', async () => {
  it.instance('src', 'waits', { vda: sparseBytes(MIB) });
  const transfer = await it.transfer(origin, destination, ['waits']);
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id, autoDeploy: true });
  const pending = await it.db
    .selectFrom('deployment')
    .selectAll()
    .where('transfer_id', '=', transfer.id)
    .executeTakeFirstOrThrow();
  await it.engine.cancelDeployment(pending.id);
  const worker = it.worker({ host: 'waits' });
  expect(await it.until(executionId)).toBe('COMPLETED');
  const after = await it.db.selectFrom('deployment').selectAll().where('id', '=', pending.id).executeTakeFirstOrThrow();
  expect(after.last_execution_status).toBe('CANCELED');
  await worker.kill();
});
