import { execFile } from 'node:child_process';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { openDisk } from '@godwit/disk';
import type { DeployedInstance, DeployRequest, TargetDisk, TargetRequest } from '@godwit/provider';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { imageProvider } from '../src/index.ts';
import { Folder, ovf } from './folder.ts';
import { readAll } from './reading.ts';

const MIB = 1_048_576;
const run = promisify(execFile);
const target = imageProvider.target!;
let folder: Folder;
let request: TargetRequest;

beforeEach(async () => {
  folder = await Folder.make();
  await folder.write('web.ovf', ovf('web', [{ id: 'vda', capacity: 4 * MIB }]));
  const instance = await imageProvider.getInstance(folder.context(), 'web.ovf', {});
  await rm(folder.at('web.ovf'));
  const environment = { disk_format: 'qcow2' };
  request = { key: 'r', transfer: 't', instance, environment, networkMap: {}, storageMappings: {} };
});
afterEach(() => folder[Symbol.asyncDispose]());

/** One deployment as the engine runs it. */
async function deploy(disks: TargetDisk[], key: string, how: Partial<DeployRequest>): Promise<DeployedInstance> {
  const ctx = folder.context();
  const wanted = { ...request, key, disks, clone: true, test: false, powerOn: false, ...how };
  await target.snapshotDisks(ctx, key, disks);
  const deployed = await target.deployInstance(ctx, wanted);
  await target.finalizeInstance(ctx, wanted, deployed);
  await target.deleteDiskSnapshots(ctx, key, disks);
  return deployed;
}

/** What a replication does: opens the disks, writes 64 KiB at a place. */
async function write(disks: TargetDisk[], offset: number, byte: number): Promise<void> {
  const opened = await target.openDisks(folder.context(), disks, false);
  const disk = await openDisk(opened.addresses.vda!);
  await disk.write(offset, new Uint8Array(65_536).fill(byte));
  await disk.flush();
  await disk.close();
  await opened.close();
}

async function replicaByte(disks: TargetDisk[], offset: number): Promise<number> {
  const opened = await target.openDisks(folder.context(), disks, true);
  const disk = await openDisk(opened.addresses.vda!);
  const bytes = new Uint8Array(1);
  await disk.read(offset, bytes);
  await disk.close();
  await opened.close();
  return bytes[0]!;
}

const byteOf = async (id: string, offset: number) => Object.values(await readAll(folder, id))[0]![offset];
const replicaFile = (disks: TargetDisk[]) => folder.at(String(disks[0]!.handle.path));
const replicaFiles = async () => {
  const names = await readdir(folder.at('.godwit/replicas/web-r'));
  return names.filter((name) => !name.startsWith('.')).sort();
};

test('tests of a qcow2 replica disk are overlays of their own moments while replication goes on, and go in any order', async () => {
  const ctx = folder.context();
  const disks = await target.createDisks(ctx, request, []);
  await write(disks, 0, 1);
  const first = await deploy(disks, 'first', { test: true });
  await write(disks, 0, 2);
  await write(disks, MIB, 2);
  const second = await deploy(disks, 'second', { test: true });
  await write(disks, 0, 3);

  // Small: nothing was copied.
  expect((await stat(folder.at(first.id, 'vda.qcow2'))).size).toBeLessThan(MIB / 2);
  await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 2M 64k', folder.at(second.id, 'vda.qcow2')]);
  expect([await byteOf(first.id, 0), await byteOf(first.id, MIB), await byteOf(first.id, 2 * MIB)]).toEqual([1, 0, 0]);
  expect([await byteOf(second.id, 0), await byteOf(second.id, MIB), await byteOf(second.id, 2 * MIB)]).toEqual([
    2, 2, 9,
  ]);
  expect([await replicaByte(disks, 0), await replicaByte(disks, 2 * MIB)]).toEqual([3, 0]);

  await target.removeInstance(ctx, first);
  await write(disks, 3 * MIB, 4);
  expect(await byteOf(second.id, 0)).toBe(2);
  await target.removeInstance(ctx, second);
  await write(disks, 3 * MIB, 5);
  expect(await replicaFiles()).toEqual(['vda.qcow2']);
  expect([await replicaByte(disks, 0), await replicaByte(disks, MIB), await replicaByte(disks, 3 * MIB)]).toEqual([
    3, 2, 5,
  ]);
  const { stdout } = await run('qemu-img', ['check', '--output=json', '-f', 'qcow2', replicaFile(disks)]);
  expect(JSON.parse(stdout)).toMatchObject({ 'check-errors': 0 });
  await target.deleteDisks(ctx, disks);
  expect(await readdir(folder.path)).toEqual([]);
});

test('an instance for good, cloned or not, outlives the test that its disks shared a layer with', async () => {
  const ctx = folder.context();
  const disks = await target.createDisks(ctx, request, []);
  await write(disks, 0, 1);
  const tried = await deploy(disks, 'tried', { test: true });
  await write(disks, MIB, 2);
  const cloned = await deploy(disks, 'cloned', {});
  await rename(folder.at(cloned.id), folder.at('clone'));
  const taken = await deploy(disks, 'taken', { clone: false });
  await target.removeInstance(ctx, tried);
  for (const id of ['clone', taken.id]) {
    expect([await byteOf(id, 0), await byteOf(id, MIB), await byteOf(id, 2 * MIB)]).toEqual([1, 2, 0]);
  }
  expect((await readdir(folder.path)).sort()).toEqual(['clone', taken.id]);
});

test('a deployment that failed gives a disk back that lies over the layer of a test', async () => {
  const ctx = folder.context();
  const disks = await target.createDisks(ctx, request, []);
  await write(disks, 0, 1);
  const tried = await deploy(disks, 'tried', { test: true });
  await write(disks, MIB, 2);
  await target.snapshotDisks(ctx, 'failed', disks);
  const wanted = { ...request, key: 'failed', disks, clone: false, test: false, powerOn: false };
  const failed = await target.deployInstance(ctx, wanted);
  await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 0 64k', folder.at(failed.id, 'vda.qcow2')]);
  await target.removeInstance(ctx, failed);
  const restored = await target.restoreDisks(ctx, 'failed', disks);
  await target.deleteDiskSnapshots(ctx, 'failed', restored);
  expect([await replicaByte(disks, 0), await replicaByte(disks, MIB), await byteOf(tried.id, 0)]).toEqual([1, 2, 1]);
  await target.removeInstance(ctx, tried);
  await write(disks, 2 * MIB, 3);
  expect(await replicaFiles()).toEqual(['vda.qcow2']);
  expect([await replicaByte(disks, 0), await replicaByte(disks, MIB)]).toEqual([1, 2]);
});

test('a test is refused while somebody writes to its disk, and the disk stays what it was', async () => {
  const ctx = folder.context();
  const disks = await target.createDisks(ctx, request, []);
  await write(disks, 0, 1);
  const opened = await target.openDisks(ctx, disks, false);
  const wanted = { ...request, key: 'early', disks, clone: true, test: true, powerOn: false };
  await expect(target.deployInstance(ctx, wanted)).rejects.toMatchObject({ code: 'CONFLICT' });
  await opened.close();
  expect(await replicaFiles()).toEqual(['vda.qcow2']);
  const late = await target.deployInstance(ctx, wanted);
  expect(await byteOf(late.id, 0)).toBe(1);
});

test('freezing and merging that were cut off half-way are gone on with', async () => {
  const ctx = folder.context();
  const disks = await target.createDisks(ctx, request, []);
  const replica = replicaFile(disks);
  await write(disks, 0, 1);
  // Cut off after the link: the layer is the disk's own file.
  await run('ln', [replica, `${replica}.layer-cut`]);
  const tried = await deploy(disks, 'cut', { test: true });
  expect((await stat(`${replica}.layer-cut`)).ino).not.toBe((await stat(replica)).ino);
  await write(disks, 0, 2);
  expect(await byteOf(tried.id, 0)).toBe(1);
  await target.removeInstance(ctx, tried);
  // Cut off after the commit: the layer has all, and the disk still lies over it.
  await run('qemu-img', ['commit', '-q', '-d', '-f', 'qcow2', replica]);
  await write(disks, MIB, 3);
  expect(await replicaFiles()).toEqual(['vda.qcow2']);
  expect([await replicaByte(disks, 0), await replicaByte(disks, MIB)]).toEqual([2, 3]);
  // Links that nobody needs are swept.
  await run('ln', [replica, `${replica}.layer-stale`]);
  await write(disks, MIB, 4);
  expect(await replicaFiles()).toEqual(['vda.qcow2']);
});

test('a raw replica disk is copied once for a clone: its snapshot becomes the copy', async () => {
  const ctx = folder.context();
  request = { ...request, environment: { disk_format: 'raw' } };
  const disks = await target.createDisks(ctx, request, []);
  await write(disks, 0, 1);
  await target.snapshotDisks(ctx, 'tried', disks);
  const { ino } = await stat(`${replicaFile(disks)}.snapshot-tried`);
  const tried = await deploy(disks, 'tried', { test: true });
  expect((await stat(folder.at(tried.id, 'vda.raw'))).ino).toBe(ino);
  await write(disks, 0, 2);
  expect(await byteOf(tried.id, 0)).toBe(1);
  expect(await replicaFiles()).toEqual(['vda.raw']);
});
