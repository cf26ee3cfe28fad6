import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { insertEndpoint, listReceipts, listReplicaDisks, type Transfer } from '@godwit/store';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { fileOf, MIB } from './disk-files.ts';
import { TestInstallation, type TestWorker } from './installation.ts';
import { bitmapsOf, qemuImg } from './tracked-provider.ts';
import type { Stop } from './worker-process.ts';

// Change tokens on a source that really tracks: what a run may build on, and what it must not.

let it: TestInstallation;
let origin: string;
let destination: string;
let worker: TestWorker | undefined;

beforeAll(async () => {
  it = await TestInstallation.start();
  const info = { path: it.folder('src') };
  const row = await insertEndpoint(it.db, it.secrets, {
    projectId: it.projectId,
    userId: 'tester',
    name: 'src',
    type: 'tracked',
    connectionInfo: info,
    publicInfo: info,
    mappedRegions: [],
  });
  origin = row.id;
  destination = await it.endpoint('dst');
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});
afterEach(async () => {
  for (const one of it.workers.splice(0)) await one.kill();
});

const SIZE = 8 * MIB;
let count = 0;

/** An instance with disks `a` and `b`, each with a megabyte of data, and a transfer of it. */
async function instance(): Promise<{ name: string; transfer: Transfer; file: (disk: string) => string }> {
  count += 1;
  const name = `vm${count}`;
  const folder = it.folder(`src/${name}`);
  const file = (disk: string) => path.join(folder, `${disk}.qcow2`);
  for (const disk of ['a', 'b']) {
    await qemuImg('create', '-q', '-f', 'qcow2', file(disk), String(SIZE));
    put(file(disk), 0, 16, 0x11);
  }
  return { name, transfer: await it.transfer(origin, destination, [name]), file };
}

/** Fills leaves of an image as a guest would, through QEMU, which records it. */
function put(file: string, leaf: number, leaves: number, value: number): void {
  const command = `write -P ${value} ${leaf * 65_536} ${leaves * 65_536}`;
  const result = spawnSync('qemu-io', ['-f', 'qcow2', '-c', command, file], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`qemu-io: ${result.stdout}${result.stderr}`);
}

async function run(transfer: Transfer, stops: Stop[] = []) {
  await worker?.kill();
  worker = it.worker({ host: 'tracker', stops });
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  return executionId;
}

async function expectEqual(transfer: Transfer, file: (disk: string) => string): Promise<void> {
  const rows = await listReplicaDisks(it.db, transfer.id);
  expect(rows).toHaveLength(2);
  for (const row of rows) {
    const args = ['compare', '-f', 'qcow2', '-F', 'raw', file(row.disk_id), fileOf(row)];
    const compared = spawnSync('qemu-img', args, { encoding: 'utf8' });
    expect(compared.stdout).toContain('Images are identical');
  }
}

const tokens = async (transfer: Transfer) =>
  Object.fromEntries((await listReplicaDisks(it.db, transfer.id)).map((row) => [row.disk_id, row.token]));

test('each disk builds on its own last complete run when one of two failed, and nothing is lost or sent twice', async () => {
  const { transfer, file } = await instance();
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  const first = await tokens(transfer);
  expect(first.a).not.toBeNull();
  expect(first.a).toBe(first.b);

  put(file('a'), 2, 2, 0x22);
  put(file('b'), 2, 2, 0x22);
  expect(await it.until(await run(transfer, [{ point: 'REPLICATE_DISKS:copied', action: 'fail' }]))).toBe('ERROR');
  const second = await tokens(transfer);
  const behind = second.a === first.a ? 'a' : 'b';
  const ahead = behind === 'a' ? 'b' : 'a';
  expect(second[behind]).toBe(first[behind]);
  expect(second[ahead]).not.toBe(first[ahead]);
  // Both tokens are needed now, and only those.
  for (const disk of ['a', 'b']) {
    expect((await bitmapsOf(file(disk))).sort()).toEqual([first.a, second[ahead]].sort());
  }

  // What the failed run has sent changes back, and something else changes.
  put(file(behind), 2, 2, 0x11);
  put(file(ahead), 9, 1, 0x33);
  const third = await run(transfer);
  expect(await it.until(third)).toBe('COMPLETED');
  await expectEqual(transfer, file);
  const receipts = await listReceipts(it.db, it.projectId, { executionId: third });
  const sent = Object.fromEntries(receipts.map((row) => [row.disk_id, Number(row.document.bytes_sent)]));
  expect(sent).toEqual({ [behind]: 2 * 65_536, [ahead]: 65_536 });
  const last = await tokens(transfer);
  expect(last.a).toBe(last.b);
  for (const disk of ['a', 'b']) expect(await bitmapsOf(file(disk))).toEqual([last.a]);
});

/** The platform loses every snapshot. */
function loseSnapshots(): void {
  const folder = it.folder('src/.snapshots');
  for (const snapshot of readdirSync(folder)) rmSync(path.join(folder, snapshot), { recursive: true });
}

/** Disk -> key of the snapshot that its receipt names. */
const provenFrom = async (executionId: string) =>
  Object.fromEntries(
    (await listReceipts(it.db, it.projectId, { executionId })).map((row) => [
      row.disk_id,
      (row.document.snapshot as { key: string }).key,
    ]),
  );

test('a disk that was proven from a snapshot that was lost is proven again from the next one', async () => {
  const { transfer, file } = await instance();
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  for (const disk of ['a', 'b']) put(file(disk), 3, 1, 0x44);
  // One disk is held back before its end, the other goes through.
  const executionId = await run(transfer, [
    { point: 'REPLICATE_DISKS:copied', action: 'pause' },
    { point: 'REPLICATE_DISKS:completed', action: 'hang' },
  ]);
  await it.eventually('one disk is proven', async () => Object.keys(await provenFrom(executionId)).length === 1);
  const before = await provenFrom(executionId);
  loseSnapshots();
  for (const disk of ['a', 'b']) put(file(disk), 5, 1, 0x55);
  await worker?.kill();
  expect(await provenFrom(executionId)).toEqual(before);
  worker = it.worker({ host: 'tracker' });
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqual(transfer, file);
  const after = await provenFrom(executionId);
  expect(after.a).toBe(after.b);
  expect(Object.values(before)).not.toContain(after.a);
  const last = await tokens(transfer);
  expect(last.a).toBe(last.b);
  for (const disk of ['a', 'b']) expect(await bitmapsOf(file(disk))).toEqual([last.a]);
});

test('a snapshot that is lost when all its disks are proven has done its duty: what changed since is told by its token', async () => {
  const { transfer, file } = await instance();
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  for (const disk of ['a', 'b']) put(file(disk), 3, 1, 0x44);
  const executionId = await run(transfer, [{ point: 'REPLICATE_DISKS:completed', action: 'hang', times: 2 }]);
  await it.eventually('both are proven', async () => Object.keys(await provenFrom(executionId)).length === 2);
  const before = await provenFrom(executionId);
  loseSnapshots();
  for (const disk of ['a', 'b']) put(file(disk), 5, 1, 0x55);
  await worker?.kill();
  worker = it.worker({ host: 'tracker' });
  expect(await it.until(executionId)).toBe('COMPLETED');
  expect(await provenFrom(executionId)).toEqual(before);
  const next = await run(transfer);
  expect(await it.until(next)).toBe('COMPLETED');
  await expectEqual(transfer, file);
  const receipts = await listReceipts(it.db, it.projectId, { executionId: next });
  expect(receipts.map((row) => row.document.bytes_sent)).toEqual([65_536, 65_536]);
});

test('who was about to complete a disk from a lost snapshot is refused once another has given it up', async () => {
  const { transfer, file } = await instance();
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  for (const disk of ['a', 'b']) put(file(disk), 3, 1, 0x44);
  const checked = 'REPLICATE_DISKS:checked';
  const forgotten = 'REPLICATE_DISKS:forgotten';
  await worker?.kill();
  // It believes in the snapshot, and its own clock will not stop it.
  const late = it.worker({
    host: 'late',
    stops: [{ point: checked, action: 'pause', times: 2 }],
    heartbeat: { limitMs: 600_000, everyMs: 60_000 },
  });
  worker = late;
  const { executionId } = await it.engine.executeTransfer({ transferId: transfer.id });
  await it.eventually('both disks are read', () => late.reached.filter((point) => point === checked).length === 2);
  late.process.kill('SIGSTOP');
  loseSnapshots();
  for (const disk of ['a', 'b']) put(file(disk), 5, 1, 0x55);
  const heir = it.worker({ host: 'heir', standsStillMs: 500, stops: [{ point: forgotten, action: 'pause' }] });
  await heir.ready;
  await it.silence('late');
  await it.eventually('the heir has given the snapshot up', () => heir.reached.includes(forgotten));
  late.process.kill('SIGCONT');
  late.goOn(checked);
  await it.eventually('the late one is refused', () => /FENCED/.test(late.log));
  expect(await provenFrom(executionId)).toEqual({});
  heir.goOn(forgotten);
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqual(transfer, file);
  const after = await provenFrom(executionId);
  expect(after.a).toBe(after.b);
  expect(new Set(Object.values(await tokens(transfer)))).toEqual(new Set([after.a]));
});

test('tokens of an execution that was ended by force are dropped by the next one', async () => {
  const { transfer, file } = await instance();
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  const before = await tokens(transfer);
  const forced = await run(transfer, [{ point: 'REPLICATE_DISKS:copied', action: 'hang', times: 2 }]);
  await it.eventually('the copy is done', () => worker?.reached.includes('REPLICATE_DISKS:copied') === true);
  await it.engine.cancelExecution(forced, true);
  expect(await tokens(transfer)).toEqual(before);
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  const last = await tokens(transfer);
  await expectEqual(transfer, file);
  for (const disk of ['a', 'b']) expect(await bitmapsOf(file(disk))).toEqual([last.a]);
});

test('a disk that is added is copied in full beside one that only tells its changes', async () => {
  const { transfer, file, name } = await instance();
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  put(file('a'), 1, 1, 0x66);
  const added = path.join(it.folder(`src/${name}`), 'c.qcow2');
  await qemuImg('create', '-q', '-f', 'qcow2', added, String(SIZE));
  put(added, 7, 3, 0x77);
  const executionId = await run(transfer);
  expect(await it.until(executionId)).toBe('COMPLETED');
  const receipts = await listReceipts(it.db, it.projectId, { executionId });
  const sent = Object.fromEntries(receipts.map((row) => [row.disk_id, Number(row.document.bytes_sent)]));
  expect(sent).toEqual({ a: 65_536, b: 0, c: 3 * 65_536 });
});

test('two transfers of one instance leave each other the tokens', async () => {
  const { transfer, file, name } = await instance();
  const other = await it.transfer(origin, destination, [name]);
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  expect(await it.until(await run(other))).toBe('COMPLETED');
  put(file('a'), 4, 1, 0x12);
  expect(await it.until(await run(transfer))).toBe('COMPLETED');
  put(file('a'), 6, 1, 0x13);
  const executionId = await run(other);
  expect(await it.until(executionId)).toBe('COMPLETED');
  await expectEqual(other, file);
  const [receipt] = await listReceipts(it.db, it.projectId, { executionId, diskId: 'a' });
  expect(receipt?.document.bytes_sent).toBe(2 * 65_536);
  await it.engine.deleteTransfer(transfer.id);
  await it.eventually('the replica disks of the deleted one are gone', async () =>
    (await it.db.selectFrom('ledger').selectAll().where('transfer_id', '=', transfer.id).execute()).every(
      (row) => row.state === 'removed',
    ),
  );
  const kept = await tokens(other);
  expect(await bitmapsOf(file('a'))).toContain(kept.a);
  put(file('b'), 6, 1, 0x14);
  expect(await it.until(await run(other))).toBe('COMPLETED');
  await expectEqual(other, file);
});
