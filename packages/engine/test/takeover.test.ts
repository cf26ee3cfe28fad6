import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureDatabase, listReplicaDisks, startPostgres } from '@godwit/store';
import { afterEach, expect, test } from 'vitest';
import { expectEqualDisks, MIB, sparseBytes } from './disk-files.ts';
import { TestInstallation } from './installation.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function installation(): Promise<TestInstallation> {
  const it = await TestInstallation.start();
  open.push(() => it[Symbol.asyncDispose]());
  return it;
}

/** For workers that look for silent ones: what stands still is dead, and no test of theirs has a clock that jumps. */
const standsStillMs = 500;

async function slowCopy(it: TestInstallation, size = 48 * MIB) {
  it.instance('src', 'web', { vda: sparseBytes(size), vdb: sparseBytes(MIB) });
  const options = JSON.stringify({ rate_limit: 3 * MIB });
  const transfer = await it.transfer(await it.endpoint('src'), await it.endpoint('dst'), ['web'], { options });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  return { transfer, executionId, flowing: () => it.eventually('bytes flow', () => flows(it, transfer.id)) };
}

async function flows(it: TestInstallation, transferId: string): Promise<boolean> {
  const disks = await listReplicaDisks(it.db, transferId);
  const disk = disks.find((one) => one.disk_id === 'vda');
  return ((disk?.progress as { counters?: { bytesSent: number } } | null)?.counters?.bytesSent ?? 0) > 0;
}

test('the work of a dead worker is taken over by another one and completed', async () => {
  const it = await installation();
  // It never comes to the end of its copies, however long the other one takes to start.
  const first = it.worker({ host: 'first', stops: [{ point: 'REPLICATE_DISKS:copied', action: 'hang', times: 2 }] });
  const { executionId, flowing, transfer } = await slowCopy(it);
  await flowing();
  const second = it.worker({ host: 'second', standsStillMs });
  await second.ready;
  await first.kill();
  await it.silence('first');
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['web']);
  const copy = (await it.tasks(executionId)).find((task) => task.task_type === 'REPLICATE_DISKS');
  expect(copy).toMatchObject({ host: 'second', attempt: 2 });
  const receipt = await it.db
    .selectFrom('receipt')
    .select('document')
    .where('disk_id', '=', 'vda')
    .executeTakeFirstOrThrow();
  expect(Number(receipt.document.bytes_sent)).toBeLessThan(2 * 12 * MIB);
});

test('a worker that stood still while another took over writes nothing more and ends', async () => {
  const it = await installation();
  const limitMs = 5_000;
  const zombie = it.worker({ host: 'zombie', heartbeat: { limitMs, everyMs: 500 } });
  const { executionId, flowing, transfer } = await slowCopy(it);
  await flowing();
  zombie.process.kill('SIGSTOP');
  const stopped = performance.now();
  const heir = it.worker({ host: 'heir', standsStillMs });
  await heir.ready;
  await it.silence('zombie');
  await it.eventually('the heir copies', async () => {
    const copy = (await it.tasks(executionId)).find((task) => task.task_type === 'REPLICATE_DISKS');
    return copy?.host === 'heir';
  });
  // Sooner, it would be a living worker whose work was taken too early.
  await it.eventually('it stood still beyond its limit', () => performance.now() - stopped > limitMs);
  zombie.process.kill('SIGCONT');
  expect(await zombie.exited).toBe(75);
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['web']);
});

test('a worker that still thinks it lives is refused by the fence when its task was taken over', async () => {
  const it = await installation();
  // Its own clock is set so wide that only the fence is left to stop it.
  const zombie = it.worker({ host: 'zombie', heartbeat: { limitMs: 600_000, everyMs: 60_000 } });
  const { executionId, flowing, transfer } = await slowCopy(it);
  await flowing();
  zombie.process.kill('SIGSTOP');
  const cleaning = 'DELETE_TRANSFER_SOURCE_RESOURCES:begin';
  const heir = it.worker({ host: 'heir', standsStillMs, stops: [{ point: cleaning, action: 'pause' }] });
  await heir.ready;
  await it.silence('zombie');
  await it.eventually('the heir copies', async () => {
    const copy = (await it.tasks(executionId)).find((task) => task.task_type === 'REPLICATE_DISKS');
    return copy?.host === 'heir';
  });
  const fenceOf = async () =>
    (await listReplicaDisks(it.db, transfer.id)).find((disk) => disk.disk_id === 'vda')?.fence;
  await it.eventually('the heir owns the disk', async () => (await fenceOf()) === 2);
  zombie.process.kill('SIGCONT');
  await it.eventually('the heir cleans up', () => heir.reached.includes(cleaning));
  // Two walks of one execution would take each other's tasks for ever.
  await it.eventually('the zombie leaves the execution alone', () => /stands back/.test(zombie.log));
  heir.goOn(cleaning);
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(await fenceOf()).toBe(2);
  await expectEqualDisks(it, transfer.id, ['web']);
  const tasks = await it.tasks(executionId);
  const copy = tasks.find((task) => task.task_type === 'REPLICATE_DISKS');
  expect(copy).toMatchObject({ host: 'heir', status: 'COMPLETED' });
  const cleanup = tasks.find((task) => task.task_type === 'DELETE_TRANSFER_SOURCE_RESOURCES');
  expect(cleanup).toMatchObject({ host: 'heir', status: 'COMPLETED', attempt: 1 });
});

test('workers whose heartbeats only look old, because a clock has jumped, keep their work', async () => {
  const it = await installation();
  const heartbeat = { everyMs: 500, limitMs: 60_000 };
  const first = it.worker({ host: 'first', heartbeat });
  const { executionId, flowing } = await slowCopy(it, 64 * MIB);
  await flowing();
  const second = it.worker({ host: 'second', heartbeat });
  await second.ready;
  const ended = it.until(executionId);
  let over = false;
  void ended.finally(() => {
    over = true;
  });
  // Old again after each heartbeat, as the first look after a sleep finds them.
  while (!over) {
    await it.silence('first');
    await it.silence('second');
    await sleep(100);
  }
  expect(await ended).toBe('COMPLETED');
  expect((await it.tasks(executionId)).map((task) => [task.host, task.attempt])).toEqual(
    (await it.tasks(executionId)).map(() => ['first', 1]),
  );
  expect(first.log + second.log).not.toContain('took over');
});

test('two workers on one machine are two executors, and a restarted one is itself again', async () => {
  const it = await installation();
  const first = it.worker({ host: 'box' });
  await first.ready;
  const second = it.worker({ host: 'box' });
  await second.ready;
  await first.kill();
  const again = it.worker({ host: 'box' });
  await again.ready;
  const rows = await it.db.selectFrom('service').select(['executor_id', 'topic']).orderBy('executor_id').execute();
  expect(rows.map((row) => row.executor_id)).toEqual(['box/0', 'box/1']);
});

test('a worker that is asked to end leaves its copy to be resumed, and is down at once', async () => {
  const it = await installation();
  const worker = it.worker({ host: 'polite' });
  const { executionId, flowing, transfer } = await slowCopy(it, 16 * MIB);
  await flowing();
  worker.process.kill('SIGTERM');
  expect(await worker.exited).toBe(0);
  await expect(it.engine.callProvider(transfer.origin_endpoint_id, 'validateConnection', {})).rejects.toMatchObject({
    code: 'NO_WORKER',
  });
  it.worker({ host: 'polite' });
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['web']);
});

test('a Postgres that is killed in the middle of a copy loses nothing', async () => {
  const home = mkdtempSync(path.join(tmpdir(), 'gwe-'));
  const start = () => startPostgres(path.join(home, 'postgres'));
  let postgres = await start();
  open.push(async () => {
    await postgres.stop();
    rmSync(home, { recursive: true, force: true });
  });
  const url = postgres.url('godwit');
  await ensureDatabase(url);
  const it = await TestInstallation.on(path.join(home, 'godwit'), url);
  open.push(() => it[Symbol.asyncDispose]());
  const worker = it.worker({ host: 'steady' });
  const { executionId, flowing, transfer } = await slowCopy(it);
  await flowing();
  for (let kill = 0; kill < 2; kill += 1) {
    process.kill(postgres.pid, 'SIGKILL');
    await postgres.exited;
    postgres = await start();
  }
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqualDisks(it, transfer.id, ['web']);
  expect(worker.process.exitCode).toBeNull();
  expect((await it.tasks(executionId)).every((task) => task.status === 'COMPLETED')).toBe(true);
  expect((await it.ledger()).filter((line) => line.startsWith('execution'))).toEqual([]);
});
