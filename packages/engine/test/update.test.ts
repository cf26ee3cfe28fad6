import { getInfo, getTransfer, toJson } from '@godwit/store';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';

// New settings of a transfer: taken when both ends agree to them, else the old ones stay.

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

async function transferOf(name: string) {
  it.instance('src', name, { vda: sparseBytes(MIB) });
  return it.transfer(origin, destination, [name], { notes: 'old', destination_environment: toJson({ tier: 'old' }) });
}

const change = () => ({ notes: 'new', destination_environment: toJson({ tier: 'new' }) });
const settingsOf = async (id: string) => {
  const row = await getTransfer(it.db, id);
  return { notes: row?.notes, environment: row?.destination_environment };
};

test('new settings count when both ends have agreed, and what the instance was seen as is not kept', async () => {
  const transfer = await transferOf('agreed');
  const { executionId, number } = await it.engine.updateTransfer({ transferId: transfer.id, change });
  expect(number).toBe(1);
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(await settingsOf(transfer.id)).toEqual({ notes: 'new', environment: { tier: 'new' } });
  expect((await it.tasks(executionId)).map((task) => task.task_type)).toEqual([
    'GET_INSTANCE_INFO',
    'UPDATE_SOURCE_TRANSFER',
    'UPDATE_DESTINATION_TRANSFER',
  ]);
  expect(await getInfo(it.db, transfer.id, 'agreed')).toEqual({});
});

test.each(['GET_INSTANCE_INFO', 'UPDATE_SOURCE_TRANSFER', 'UPDATE_DESTINATION_TRANSFER'])(
  'the old settings stay when %s fails',
  async (type) => {
    const transfer = await transferOf(type.toLowerCase());
    await worker.stopAt({ point: `${type}:end`, action: 'fail' });
    const { executionId } = await it.engine.updateTransfer({ transferId: transfer.id, change });
    expect(await it.until(executionId)).toBe('ERROR');
    expect(await settingsOf(transfer.id)).toEqual({ notes: 'old', environment: { tier: 'old' } });
  },
);

test('the old settings stay when an update is canceled, and nothing else runs meanwhile', async () => {
  const transfer = await transferOf('canceled');
  await worker.stopAt({ point: 'UPDATE_DESTINATION_TRANSFER:begin', action: 'hang' });
  const { executionId } = await it.engine.updateTransfer({ transferId: transfer.id, change });
  await it.eventually('it judges', () => worker.reached.includes('UPDATE_DESTINATION_TRANSFER:begin'));
  for (const refused of [
    it.engine.executeTransfer({ transferId: transfer.id }),
    it.engine.updateTransfer({ transferId: transfer.id, change }),
  ]) {
    await expect(refused).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  }
  await it.engine.cancelExecution(executionId, true);
  expect(await it.until(executionId)).toBe('CANCELED');
  expect(await settingsOf(transfer.id)).toEqual({ notes: 'old', environment: { tier: 'old' } });
});

test('a change that is refused at once leaves no trace', async () => {
  const transfer = await transferOf('refused');
  const refused = it.engine.updateTransfer({
    transferId: transfer.id,
    change: () => {
      throw new RangeError('no such thing');
    },
  });
  await expect(refused).rejects.toMatchObject({ code: 'INTERNAL' });
  expect(await getTransfer(it.db, transfer.id)).toMatchObject({ last_execution_number: 0 });
});
