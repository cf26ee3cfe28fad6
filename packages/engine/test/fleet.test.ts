import { readFileSync } from 'node:fs';
import path from 'node:path';
import { listReceipts, type Transfer } from '@godwit/store';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { expectEqualDisks, sparseBytes } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';

// Many executions, several workers, most of which die.

const EXECUTIONS = 50;
const DISK = 1_048_576;

let it: TestInstallation;
beforeAll(async () => {
  it = await TestInstallation.start();
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});

interface Run {
  transfer: Transfer;
  instance: string;
  executionId: string;
}

async function startAll(): Promise<Run[]> {
  const origin = await it.endpoint('src');
  const destination = await it.endpoint('dst');
  const runs: Run[] = [];
  for (let n = 0; n < EXECUTIONS; n += 1) {
    const instance = `vm${n}`;
    it.instance('src', instance, { vda: sparseBytes(DISK), vdb: sparseBytes(DISK) });
    // Slow enough to be caught in the middle, and for none to end before the last has begun.
    const options = JSON.stringify({ rate_limit: DISK / 64 });
    const transfer = await it.transfer(origin, destination, [instance], { options });
    const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
    runs.push({ transfer, instance, executionId });
  }
  return runs;
}

const copying = async (host: string) =>
  it.db
    .selectFrom('task')
    .select('id')
    .where('host', '=', host)
    .where('task_type', '=', 'REPLICATE_DISKS')
    .where('status', '=', 'RUNNING')
    .execute();

/** Ends it in the middle of its copies. */
async function kill(worker: TestWorker, host: string): Promise<void> {
  await it.eventually(`${host} copies`, async () => (await copying(host)).length > 0);
  await worker.kill();
  await it.silence(host);
}

/** Lines of what was made at an endpoint. */
const made = (endpoint: string): string[] =>
  readFileSync(path.join(it.home, `${endpoint}.made`), 'utf8')
    .trim()
    .split('\n');

test('fifty executions complete although two of three workers are killed, and nothing is done twice', async () => {
  const one = it.worker({ host: 'one' });
  const two = it.worker({ host: 'two' });
  it.worker({ host: 'three' });
  const runs = await startAll();
  const active = async () =>
    (await it.db.selectFrom('execution').select('id').where('status', '=', 'RUNNING').execute()).length;
  expect(await active()).toBe(EXECUTIONS);
  await kill(one, 'one');
  await kill(two, 'two');
  await it.db.updateTable('transfer').set({ options: '{}' }).execute();
  for (let left = await active(); left > 0; ) {
    const before = left;
    await it.eventually('another one has ended', async () => {
      left = await active();
      return left < before;
    });
  }
  const slow: string[] = [];
  for (const { executionId, instance, transfer } of runs) {
    expect(await it.until(executionId), instance).toBe('COMPLETED');
    await expectEqualDisks(it, transfer.id, [instance]);
    const tasks = await it.tasks(executionId);
    expect(tasks.map((task) => task.status)).toEqual(tasks.map(() => 'COMPLETED'));
    const takenOver = tasks.some((task) => task.attempt > 1);
    if (takenOver) slow.push(instance);
    const receipts = await listReceipts(it.db, it.projectId, { executionId });
    expect(receipts).toHaveLength(2);
    for (const { document } of receipts) {
      // Each leaf is recorded as sent once; only those that a kill had left in doubt had gone before.
      expect(Number(document.bytes_sent), instance).toBe(DISK / 4);
      if (!takenOver) expect(Number(document.bytes_resent), instance).toBe(0);
    }
  }
  expect(slow.length).toBeGreaterThan(0);
  // A worker that is killed between making and noting notes nothing, and its heir finds the thing made: at most one each.
  for (const [things, most] of [
    [made('src'), EXECUTIONS],
    [made('dst'), 2 * EXECUTIONS],
  ] as const) {
    expect(things.length).toBeGreaterThan(most / 2);
    expect(new Set(things).size).toBe(things.length);
  }
  const disks = Array.from({ length: 2 * EXECUTIONS }, () => 'transfer disk made');
  await it.eventually('the ledger has settled', async () => (await it.ledger()).length === disks.length);
  expect(await it.ledger()).toEqual(disks);
}, 600_000);
