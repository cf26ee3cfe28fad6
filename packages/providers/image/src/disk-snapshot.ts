import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { imageArguments, runTool } from '@godwit/disk';
import { GodwitError, type JsonObject } from '@godwit/domain';
import type { ProviderContext, TargetDisk } from '@godwit/provider';
import { openFolder, statOrNull } from './connection.ts';
import { copyDisk } from './copy-file.ts';
import { mergeLayers } from './layers.ts';
import { takeLease } from './lease.ts';
import { requireMark } from './mark.ts';
import {
  bringBack,
  checkedKey,
  letGo,
  presentFile,
  type Replica,
  replicaHandle,
  replicaOf,
  requireReplica,
} from './replica.ts';

/** See `TargetProvider.snapshotDisks`. Raw: a copy beside the disk; qcow2: a snapshot within the image. */
export async function snapshotDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]> {
  const root = await openFolder(ctx);
  for (const disk of disks) {
    const replica = await replicaOf(root, disk);
    await requireReplica(replica);
    const handle: JsonObject = { ...replicaHandle(replica.path, replica.format, replica.key), snapshot: key };
    const entry = await ctx.ledger.intend('disk_snapshot', snapshotName(replica, key), handle, 'deployment');
    if (!(await hasSnapshot(replica, key))) {
      if (replica.format === 'raw') await copyAlone(ctx, replica, copyPath(replica, key));
      else await snapshotWithin(ctx, replica, key);
    }
    await ctx.ledger.made(entry);
  }
  return disks;
}

/** See `TargetProvider.restoreDisks`. */
export async function restoreDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]> {
  const root = await openFolder(ctx);
  for (const disk of disks) {
    const replica = await replicaOf(root, disk);
    await bringBack(root, replica);
    await requireReplica(replica);
    if (!(await hasSnapshot(replica, key))) throw new GodwitError('NOT_FOUND', `snapshot ${key} of ${replica.object}`);
    if (replica.format === 'raw') await copyDisk(ctx, copyPath(replica, key), replica.file, replica.object);
    else await qemuSnapshot(replica, '-a', key);
  }
  return disks;
}

/** See `TargetProvider.deleteDiskSnapshots`. */
export async function deleteDiskSnapshots(
  ctx: ProviderContext,
  key: string,
  disks: TargetDisk[],
): Promise<TargetDisk[]> {
  const root = await openFolder(ctx);
  for (const disk of disks) {
    const replica = await replicaOf(root, disk);
    await deleteDiskSnapshot(root, replica, key);
    await ctx.ledger.removed('disk_snapshot', snapshotName(replica, key));
    await letGo(root, replica);
  }
  return disks;
}

/** Gone already is success, with its disk or without. */
export async function deleteDiskSnapshot(root: string, replica: Replica, key: string): Promise<void> {
  const folder = dirname(replica.file);
  if ((await statOrNull(folder)) === null) return;
  await requireMark(folder, replica.key, replica.object);
  if (replica.format === 'raw') {
    await rm(copyPath(replica, key), { force: true });
    return;
  }
  const file = await presentFile(root, replica);
  if (file !== null) await forgetSnapshot(replica, file, key);
}

/**
 * A copy of a raw replica disk for an instance of its own. The snapshot of the same key is such a copy already: a clone leaves
 * the replica disk as it is, so it needs no way back.
 */
export async function cloneRaw(ctx: ProviderContext, replica: Replica, key: string, to: string): Promise<void> {
  const snapshot = copyPath(replica, key);
  if ((await statOrNull(snapshot)) !== null) await rename(snapshot, to);
  else await copyAlone(ctx, replica, to);
}

/** Forgets the snapshot of that key within a qcow2 file that is no replica disk any more, or that a test lies over. */
export async function forgetSnapshot(replica: Replica, file: string, key: string): Promise<void> {
  const present = { ...replica, file };
  if (await hasSnapshot(present, key)) await qemuSnapshot(present, '-d', key);
}

/** Nobody may write to the disk while it is copied: the copy would be of no moment at all. */
async function copyAlone(ctx: ProviderContext, replica: Replica, to: string): Promise<void> {
  const lease = await takeLease(replica.file, replica.object, ctx.signal);
  try {
    await copyDisk(ctx, replica.file, to, replica.object);
  } finally {
    await lease.release();
  }
}

async function snapshotWithin(ctx: ProviderContext, replica: Replica, key: string): Promise<void> {
  await mergeLayers(ctx, replica);
  await qemuSnapshot(replica, '-c', key);
}

function snapshotName(replica: Replica, key: string): string {
  return `${replica.path}@${key}`;
}

function copyPath(replica: Replica, key: string): string {
  return `${replica.file}.snapshot-${checkedKey(key)}`;
}

async function hasSnapshot(replica: Replica, key: string): Promise<boolean> {
  if (replica.format === 'raw') return (await statOrNull(copyPath(replica, key))) !== null;
  const args = ['info', '--output=json', ...imageArguments(replica.file, 'qcow2')];
  const result = await runTool('qemu-img', args, replica.object);
  if (result.code !== 0) throw failed(replica, result.stderr);
  const info: unknown = JSON.parse(result.stdout);
  const snapshots = typeof info === 'object' && info !== null ? Reflect.get(info, 'snapshots') : undefined;
  return Array.isArray(snapshots) && snapshots.some((snapshot) => snapshot.name === tag(key));
}

function tag(key: string): string {
  return `godwit-${checkedKey(key)}`;
}

async function qemuSnapshot(replica: Replica, action: '-c' | '-a' | '-d', key: string): Promise<void> {
  const args = ['snapshot', '-q', action, tag(key), replica.file];
  const result = await runTool('qemu-img', args, replica.object, { timeoutMs: 3_600_000 });
  if (result.code !== 0) throw failed(replica, result.stderr);
}

function failed(replica: Replica, stderr: string): GodwitError {
  if (/Failed to get .*lock/i.test(stderr)) {
    return new GodwitError('CONFLICT', replica.object, { reason: 'another process has it open' });
  }
  if (/No space left/.test(stderr)) return new GodwitError('TARGET_FULL', replica.object);
  return new GodwitError('PLATFORM_ERROR', replica.object, { reason: stderr.trim().slice(0, 500) });
}
