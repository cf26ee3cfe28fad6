import { link, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { imageArguments, inspectImage, runTool } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import { statOrNull } from './connection.ts';
import { takeLease } from './lease.ts';
import { checkedKey, layersBeside, type Replica } from './replica.ts';

/*
 * Tests over qcow2 replica disks. An overlay whose base changes holds garbage, so the base must be a file that nobody
 * writes any more: a layer, `DISK.layer-KEY`. It is what the replica disk's file was when the test was made; replication
 * goes on in a new file at the disk's path, whose backing file the layer is.
 *
 * Backing files are named without folder, and every folder that needs a layer has a hard link to it. So folders can be
 * moved and removed in any order, and a layer with a single link is used by its replica disk alone: then the two are
 * merged again.
 */

/** Longer chains cost reading time and are refused by readers some time; then a test gets a copy. */
const MAX_LAYERS = 6;
/** Merging writes all that replication wrote since the test was made: days at most. */
const MERGE_MS = 604_800_000;

/**
 * Freezes a replica disk as it is now and puts an overlay over it. Every step can be repeated.
 *
 * @param to file of the overlay, absolute
 * @returns false when the disk holds a snapshot that would be lost to it, or lies over many layers already: copy it
 * @throws GodwitError DISK_BUSY (somebody writes to the disk), CANCELED, TARGET_FULL
 */
export async function overlay(ctx: ProviderContext, replica: Replica, key: string, to: string): Promise<boolean> {
  const lease = await takeLease(replica.file, replica.object, ctx.signal);
  try {
    const layer = `${replica.file}.layer-${checkedKey(key)}`;
    const frozen = await statOrNull(layer);
    if (frozen === null || frozen.ino === (await stat(replica.file)).ino) {
      if ((await describe(replica)).snapshots > 0) return false;
      if ((await layersOf(replica.file)).length >= MAX_LAYERS) return false;
      await freeze(replica, layer, frozen === null);
    }
    const { virtualSize } = await inspectImage(layer, 'qcow2');
    await shareLayers(layer, dirname(to), [layer]);
    await makeOverlay(`${to}.partial`, layer, virtualSize, replica.object);
    await rename(`${to}.partial`, to);
    return true;
  } finally {
    await lease.release();
  }
}

/** Gives a folder that a disk moves or is copied to the layers below the disk. */
export async function shareLayers(disk: string, folder: string, more: readonly string[] = []): Promise<void> {
  for (const layer of [...more, ...(await layersOf(disk))]) {
    const to = join(folder, basename(layer));
    if ((await statOrNull(to)) === null) await link(layer, to);
  }
}

/**
 * Merges a replica disk with layers that no test uses any more. Interrupted, it is done again; while somebody still has
 * one open, it is left for the next time.
 */
export async function mergeLayers(ctx: ProviderContext, replica: Replica): Promise<void> {
  if (replica.format !== 'qcow2' || (await layersBeside(replica)).length === 0) return;
  const lease = await takeLease(replica.file, replica.object, ctx.signal);
  try {
    for (;;) {
      const [layer] = await layersOf(replica.file);
      if (layer === undefined || (await stat(layer)).nlink > 1) break;
      // The disk's own snapshots would be lost with its file.
      if ((await describe(replica)).snapshots > 0) break;
      ctx.progress(`Merging ${replica.object} with what a test failover kept apart`);
      if (!(await commit(replica, layer, ctx.signal))) break;
    }
    const used = await layersOf(replica.file);
    for (const layer of await layersBeside(replica)) if (!used.includes(layer)) await rm(layer, { force: true });
  } finally {
    await lease.release();
  }
}

async function freeze(replica: Replica, layer: string, unnamed: boolean): Promise<void> {
  const { free } = await describe(replica);
  if (!free) throw inUse(replica);
  const { virtualSize } = await inspectImage(replica.file, 'qcow2');
  const next = `${replica.file}.next`;
  await makeOverlay(next, layer, virtualSize, replica.object);
  if (unnamed) await link(replica.file, layer);
  await rename(next, replica.file);
  await syncPath(dirname(replica.file));
  // A writer that opened the old file before it moved would write to the layer: all is taken back.
  if ((await describe({ ...replica, file: layer })).free) return;
  await rename(layer, replica.file);
  throw inUse(replica);
}

function inUse(replica: Replica): GodwitError {
  return new GodwitError('CONFLICT', replica.object, { reason: 'another process has it open' });
}

async function makeOverlay(path: string, base: string, size: number, object: string): Promise<void> {
  await rm(path, { force: true });
  const args = ['create', '-q', '-u', '-f', 'qcow2', '-o', 'compat=1.1,lazy_refcounts=off'];
  args.push('-b', basename(base), '-F', 'qcow2', '--', path, String(size));
  const result = await runTool('qemu-img', args, object);
  if (result.code !== 0) throw failed(object, result.stderr);
  await syncPath(path);
}

/** @returns false when a layer or the disk is open elsewhere */
async function commit(replica: Replica, layer: string, signal: AbortSignal): Promise<boolean> {
  // Naming the base: whoever comes here late finds another one, and nothing is written.
  const args = ['commit', '-q', '-b', layer, '-f', 'qcow2', '--', replica.file];
  const result = await runTool('qemu-img', args, replica.object, { timeoutMs: MERGE_MS, signal });
  if (/Failed to get .*lock/i.test(result.stderr)) return false;
  if (result.code !== 0) throw failed(replica.object, result.stderr);
  await syncPath(layer);
  await rename(layer, replica.file);
  await syncPath(dirname(replica.file));
  return true;
}

/** Files below a disk, nearest first, absolute. */
async function layersOf(disk: string): Promise<string[]> {
  return (await inspectImage(disk, 'qcow2')).files;
}

/** `free`: no process has it open for writing. */
async function describe(replica: Replica): Promise<{ free: boolean; snapshots: number }> {
  const args = ['info', '--output=json', ...imageArguments(replica.file, 'qcow2')];
  const result = await runTool('qemu-img', args, replica.object);
  if (result.code === 0) {
    const info: unknown = JSON.parse(result.stdout);
    const snapshots = typeof info === 'object' && info !== null ? Reflect.get(info, 'snapshots') : undefined;
    return { free: true, snapshots: Array.isArray(snapshots) ? snapshots.length : 0 };
  }
  if (/Failed to get .*lock/i.test(result.stderr)) return { free: false, snapshots: 0 };
  throw failed(replica.object, result.stderr);
}

function failed(object: string, stderr: string): GodwitError {
  if (/No space left/.test(stderr)) return new GodwitError('TARGET_FULL', object);
  return new GodwitError('PLATFORM_ERROR', object, { reason: stderr.trim().slice(0, 500) });
}

async function syncPath(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
