import { randomUUID } from 'node:crypto';
import { link, open, readdir, rename, rm, stat, statfs, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { createImage, type DiskAddress, imageArguments, inspectImage, runTool, serveImage } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import {
  type OpenDisks,
  type ProviderContext,
  storagesNamed,
  type TargetDisk,
  type TargetProvider,
  type TargetRequest,
} from '@godwit/provider';
import { errorCode, fileName, openFolder, statOrNull } from './connection.ts';
import { deployInstance, finalizeInstance, removeInstance } from './deploy.ts';
import { deleteDiskSnapshots, restoreDisks, snapshotDisks } from './disk-snapshot.ts';
import { type DiskFormat, destinationEnvironment, destinationEnvironmentSchema, diskFormats } from './environment.ts';
import { folderBackend } from './inventory.ts';
import { mergeLayers } from './layers.ts';
import { takeLease } from './lease.ts';
import { makeMarked, readMark } from './mark.ts';
import {
  diskFileName,
  movedPath,
  type Replica,
  removeReplica,
  replicaFolder,
  replicaHandle,
  replicaOf,
  requireReplica,
} from './replica.ts';

const PROBE = '.godwit-probe-';
/** Nobody takes so long over a probe, ms. */
const PROBE_MS = 60_000;

/** A folder as a target: replica disks under `.godwit`, a folder per deployed instance. */
export const target: TargetProvider = {
  environmentSchema: destinationEnvironmentSchema,
  validate,
  createDisks,
  openDisks,
  deleteDisks,
  snapshotDisks,
  restoreDisks,
  deleteDiskSnapshots,
  deployInstance,
  finalizeInstance,
  removeInstance,
};

async function validate(ctx: ProviderContext, request: TargetRequest): Promise<void> {
  const root = await openFolder(ctx);
  destinationEnvironment(request);
  replicaFolder(request.instance.name, request.key);
  for (const name of storagesNamed(request.storageMappings)) {
    if (name === folderBackend) continue;
    const reason = `storage_mappings: "${name}" is unknown; a folder has one storage, "${folderBackend}"`;
    throw new GodwitError('INVALID_INPUT', ctx.endpoint, { reason });
  }
  await probe(ctx, root);
  const folder = join(root, fileName(request.instance.name));
  if ((await statOrNull(folder)) !== null && (await readMark(folder))?.transfer !== request.transfer) {
    throw new GodwitError('CONFLICT', ctx.endpoint, {
      reason: `"${fileName(request.instance.name)}" is in the folder already and not of this transfer`,
    });
  }
  const { bavail, bsize } = await statfs(root);
  const needed = request.instance.devices.disks.reduce((sum, disk) => sum + disk.size_bytes, 0);
  if (needed > bavail * bsize) {
    ctx.progress(`The disks hold up to ${needed} bytes, ${bavail * bsize} are free; only their data will take space`);
  }
}

/** Whether a file can be made there, told by making one. A worker that is killed meanwhile leaves it to a later look. */
async function probe(ctx: ProviderContext, root: string): Promise<void> {
  const file = join(root, `${PROBE}${randomUUID()}`);
  try {
    for (const name of await readdir(root)) {
      if (name.startsWith(PROBE)) await removeOldProbe(join(root, name));
    }
    await (await open(file, 'wx')).close();
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOSPC') throw new GodwitError('TARGET_FULL', ctx.endpoint);
    throw GodwitError.wrap(error, 'FORBIDDEN', ctx.endpoint);
  } finally {
    await rm(file, { force: true });
  }
}

/** A probe is an empty file: anything else of such a name is somebody's own. */
async function removeOldProbe(path: string): Promise<void> {
  const info = await statOrNull(path);
  const isProbe = info?.isFile() === true && info.size === 0;
  if (isProbe && Date.now() - info.mtimeMs > PROBE_MS) await rm(path, { force: true });
}

async function createDisks(
  ctx: ProviderContext,
  request: TargetRequest,
  existing: TargetDisk[],
): Promise<TargetDisk[]> {
  const root = await openFolder(ctx);
  const environment = destinationEnvironment(request);
  const folder = replicaFolder(request.instance.name, request.key);
  const disks: TargetDisk[] = [];
  for (const { id, size_bytes: size } of request.instance.devices.disks) {
    if (ctx.signal.aborted) throw new GodwitError('CANCELED', ctx.endpoint);
    const known = existing.find((disk) => disk.id === id);
    if (known !== undefined) {
      disks.push(await keepDisk(ctx, root, known, size));
      continue;
    }
    await makeMarked(join(root, folder), { kind: 'replica', key: request.key, transfer: request.transfer });
    disks.push(await createDisk(ctx, root, folder, request, { id, size, format: environment.disk_format ?? 'raw' }));
  }
  return disks;
}

async function createDisk(
  ctx: ProviderContext,
  root: string,
  folder: string,
  request: TargetRequest,
  wanted: { id: string; size: number; format: DiskFormat },
): Promise<TargetDisk> {
  const { id, size } = wanted;
  const stem = join(folder, diskFileName(id));
  for (const format of diskFormats) {
    const path = `${stem}.${format}`;
    if ((await statOrNull(join(root, path))) === null) continue;
    // The same file, where its maker died before it had but one name.
    await rm(`${join(root, path)}.partial`, { force: true });
    const disk = { id, size: 0, zeroed: false, handle: replicaHandle(path, format, request.key) };
    const kept = await keepDisk(ctx, root, disk, size);
    await ctx.ledger.made(await ctx.ledger.intend('disk', path, disk.handle, 'transfer'));
    return { ...kept, zeroed: await isUntouched(join(root, path), format) };
  }
  const path = `${stem}.${wanted.format}`;
  const file = join(root, path);
  const handle = replicaHandle(path, wanted.format, request.key);
  const entry = await ctx.ledger.intend('disk', path, handle, 'transfer');
  const partial = `${file}.partial`;
  await rm(partial, { force: true });
  await rm(movedPath(file), { force: true });
  if (wanted.format === 'raw') await createRaw(partial, size, `replica disk ${id}`);
  else await createImage(partial, 'qcow2', size);
  const isOurs = await appears(partial, file);
  await ctx.ledger.made(entry);
  if (isOurs) return { id, size, zeroed: true, handle };
  return await keepDisk(ctx, root, { id, size: 0, zeroed: false, handle }, size);
}

/**
 * Gives a new disk its name. False: another one has it. Whoever stood still since it looked must not put an empty disk in
 * the place of the one that its successor made, and proved.
 */
async function appears(partial: string, file: string): Promise<boolean> {
  try {
    await link(partial, file);
  } catch (error) {
    const code = errorCode(error) ?? '';
    if (code === 'EEXIST') {
      await rm(partial, { force: true });
      return false;
    }
    // File systems without hard links.
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(code)) throw error;
    await rename(partial, file);
    return true;
  }
  await rm(partial, { force: true });
  return true;
}

async function createRaw(path: string, size: number, object: string): Promise<void> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.truncate(size);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (errorCode(error) === 'ENOSPC' || errorCode(error) === 'EFBIG') {
      throw new GodwitError('TARGET_FULL', object, {}, { cause: error });
    }
    throw GodwitError.wrap(error, 'PLATFORM_ERROR', object);
  }
}

/** A disk of an earlier execution, grown where the source grew. */
async function keepDisk(ctx: ProviderContext, root: string, disk: TargetDisk, size: number): Promise<TargetDisk> {
  const replica = await replicaOf(root, disk);
  await requireReplica(replica);
  const present =
    replica.format === 'raw'
      ? (await stat(replica.file)).size
      : (await inspectImage(replica.file, 'qcow2')).virtualSize;
  // Shorter than Godwit left it: what was cut off is lost, and growing it back would hide that behind zeroes.
  if (present < disk.size) {
    throw new GodwitError('TARGET_TOO_SMALL', replica.object, { needed: disk.size, available: present });
  }
  if (present >= size) return { ...disk, size: present, zeroed: false };
  if (replica.format === 'raw') {
    await growRaw(ctx, replica, size);
  } else {
    const args = ['resize', '-q', ...imageArguments(replica.file, 'qcow2'), String(size)];
    const result = await runTool('qemu-img', args, replica.object);
    if (result.code !== 0) throw new GodwitError('DISK_GREW', replica.object, { was: present, is: size });
  }
  return { ...disk, size, zeroed: false };
}

/** Under the lease: who stood still since it looked would cut off what a later run let the disk grow by. */
async function growRaw(ctx: ProviderContext, replica: Replica, size: number): Promise<void> {
  const lease = await takeLease(replica.file, replica.object, ctx.signal);
  try {
    if ((await stat(replica.file)).size < size) await truncate(replica.file, size);
  } finally {
    await lease.release();
  }
}

/** True when nothing was ever written: the file is one hole. */
async function isUntouched(file: string, format: DiskFormat): Promise<boolean> {
  return format === 'raw' && (await stat(file)).blocks === 0;
}

async function openDisks(ctx: ProviderContext, disks: TargetDisk[], readOnly: boolean): Promise<OpenDisks> {
  const root = await openFolder(ctx);
  const addresses: Record<string, DiskAddress> = {};
  const closers: (() => Promise<void>)[] = [];
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= Promise.all(closers.map((end) => end())).then(() => undefined);
    return closing;
  };
  try {
    for (const disk of disks) {
      const replica = await replicaOf(root, disk);
      await requireReplica(replica);
      if (replica.format === 'raw') {
        if (!readOnly) {
          const lease = await takeLease(replica.file, replica.object, ctx.signal);
          closers.push(() => lease.release());
        }
        addresses[disk.id] = { kind: 'file', path: replica.file, readOnly };
        continue;
      }
      if (!readOnly) await mergeLayers(ctx, replica);
      // A predecessor's qemu-nbd dies with it; until then its lock of the image keeps this one waiting.
      const server = await serveImage(
        {
          path: replica.file,
          format: 'qcow2',
          readOnly,
          label: replica.object,
          workDir: ctx.workDir,
          lockWaitMs: 5_000,
        },
        ctx.signal,
      ).catch((error: unknown) => {
        // Only the lock of the image is a conflict here, and its holder is a worker that is about to end.
        if (!(error instanceof GodwitError) || error.code !== 'CONFLICT') throw error;
        throw new GodwitError('DISK_BUSY', replica.object, error.details, { cause: error });
      });
      closers.push(() => server.close());
      addresses[disk.id] = server.address;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close };
}

async function deleteDisks(ctx: ProviderContext, disks: TargetDisk[]): Promise<void> {
  const root = await openFolder(ctx);
  for (const disk of disks) {
    const replica = await replicaOf(root, disk);
    await removeReplica(root, replica);
    await ctx.ledger.removed('disk', replica.path);
  }
}
