import { constants } from 'node:fs';
import { access, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DiskAddress, serveImage } from '@godwit/disk';
import { GodwitError, type Json, type JsonObject } from '@godwit/domain';
import {
  checkInput,
  type OpenDisks,
  type ProviderContext,
  type Snapshot,
  type SnapshotRequest,
} from '@godwit/provider';
import { type Static, Type } from 'typebox';
import { errorCode, openFolder, pathWithin, statOrNull } from './connection.ts';
import { label } from './entry.ts';
import { sourceEnvironmentSchema } from './environment.ts';
import { checkManifest, freezeFiles, frozenDisks } from './freeze.ts';
import { checkContent } from './image-file.ts';
import { type FolderInstance, loadInstance } from './inventory.ts';
import { makeFolder, makeMarked, readJson, removeMarked, stateFolder, writeJson } from './mark.ts';
import { changedSince, type Stamp, stampFiles } from './stamp.ts';

const handleSchema = Type.Object({
  mode: Type.Enum(['reflink', 'copy', 'watch']),
  /** `endpoint`: the snapshot's folder lies below the endpoint's; `worker`: below workDir, where the endpoint is read-only. */
  place: Type.Enum(['endpoint', 'worker']),
  folder: Type.String(),
  stamps: Type.Array(
    Type.Object({
      path: Type.String(),
      device: Type.String(),
      inode: Type.String(),
      size: Type.String(),
      mtime_ns: Type.String(),
      ctime_ns: Type.String(),
    }),
  ),
  disks: Type.Array(
    Type.Object({
      id: Type.String(),
      base: Type.Enum(['origin', 'scratch']),
      path: Type.String(),
      format: Type.Enum(['raw', 'qcow2', 'vmdk', 'vhdx', 'vpc', 'vdi']),
      slice: Type.Union([Type.Object({ offset: Type.Integer(), length: Type.Integer() }), Type.Null()]),
      size: Type.Integer(),
    }),
  ),
});
type Handle = Static<typeof handleSchema>;

/** Written last: a snapshot folder without it was never finished. */
const contentFile = 'snapshot.json';
/** Times that a source which changes while it is frozen is frozen anew. */
const ATTEMPTS = 3;

/** See `SourceProvider.snapshot`. */
export async function takeSnapshot(ctx: ProviderContext, request: SnapshotRequest): Promise<Snapshot> {
  const root = await openFolder(ctx);
  const name = snapshotName(request.key);
  const existing = await findSnapshot(ctx, root, name);
  if (existing !== null) {
    if ((await brokenPart(ctx, root, handleOf(existing))) === null) return existing;
    if (request.resume) throw new GodwitError('SNAPSHOT_LOST', `VM ${request.instance}`);
  } else if (request.resume) {
    throw new GodwitError('SNAPSHOT_LOST', `VM ${request.instance}`);
  }
  const instance = await loadInstance(ctx, request.instance, request.environment);
  const { place, folder } = await prepare(ctx, root, name, request.key);
  const base = place === 'endpoint' ? root : ctx.workDir;
  const entry = await ctx.ledger.intend('snapshot', name, { key: request.key, place, folder });
  for (let attempt = 1; ; attempt++) {
    await removeMarked(base, folder, request.key);
    await makeMarked(join(base, folder), { kind: 'snapshot', key: request.key, transfer: null });
    const snapshot = await freeze(ctx, root, instance, request, { place, folder });
    if (snapshot !== null) {
      await writeJson(join(base, folder, contentFile), snapshot);
      await ctx.ledger.made(entry);
      return snapshot;
    }
    if (attempt === ATTEMPTS) {
      await removeMarked(base, folder, request.key);
      await ctx.ledger.removed('snapshot', name);
      throw new GodwitError('CONFLICT', label(instance.entry), {
        reason: 'its files were written while they were frozen; stop what writes them',
      });
    }
    ctx.progress('The files changed while they were frozen; trying again');
  }
}

/** See `SourceProvider.open`. */
export async function openSnapshot(ctx: ProviderContext, snapshot: Snapshot): Promise<OpenDisks> {
  const root = await openFolder(ctx);
  const handle = handleOf(snapshot);
  await checkSnapshot(ctx, snapshot);
  const addresses: Record<string, DiskAddress> = {};
  const running: { close(): Promise<void> }[] = [];
  const close = async () => {
    await Promise.all(running.map((server) => server.close()));
  };
  try {
    for (const disk of handle.disks) {
      const object = `disk ${disk.id} of VM ${snapshot.instance}`;
      const base = disk.base === 'origin' ? root : join(baseOf(ctx, root, handle), handle.folder);
      const path = await pathWithin(base, disk.path, object);
      if (disk.format === 'raw' && disk.slice === null) {
        addresses[disk.id] = { kind: 'file', path, readOnly: true };
        continue;
      }
      const server = await serveImage(
        {
          path,
          format: disk.format,
          readOnly: true,
          label: object,
          workDir: ctx.workDir,
          ...(disk.slice === null ? {} : { slice: disk.slice }),
        },
        ctx.signal,
      );
      running.push(server);
      addresses[disk.id] = server.address;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close };
}

/** See `SourceProvider.check`. */
export async function checkSnapshot(ctx: ProviderContext, snapshot: Snapshot): Promise<void> {
  const root = await openFolder(ctx);
  const broken = await brokenPart(ctx, root, handleOf(snapshot));
  if (broken === null) return;
  ctx.progress(`${broken} changed while it was read: the snapshot does not hold`);
  throw new GodwitError('SNAPSHOT_LOST', `VM ${snapshot.instance} (${broken})`);
}

/** See `SourceProvider.release`. */
export async function releaseSnapshot(ctx: ProviderContext, snapshot: Snapshot): Promise<void> {
  const handle = handleOf(snapshot);
  const root = await openFolder(ctx);
  await removeMarked(baseOf(ctx, root, handle), handle.folder, snapshot.key);
  await ctx.ledger.removed('snapshot', snapshotName(snapshot.key));
}

/** Removes what a ledger entry of kind `snapshot` names. */
export async function removeSnapshotFolder(ctx: ProviderContext, handle: JsonObject): Promise<void> {
  const { key, place, folder } = handle;
  if (typeof key !== 'string' || typeof folder !== 'string') return;
  const root = await openFolder(ctx);
  await removeMarked(place === 'worker' ? ctx.workDir : root, folder, key);
}

function snapshotName(key: string): string {
  if (!/^[A-Za-z0-9._-]{1,80}$/.test(key) || key.startsWith('.')) {
    throw new GodwitError('INVALID_INPUT', `snapshot ${key}`, { reason: 'its key is not fit for a file name' });
  }
  return `godwit-${key}`;
}

function baseOf(ctx: ProviderContext, root: string, handle: Pick<Handle, 'place'>): string {
  return handle.place === 'endpoint' ? root : ctx.workDir;
}

function handleOf(snapshot: Snapshot): Handle {
  return checkInput(handleSchema, snapshot.handle, `handle of snapshot ${snapshot.key}`);
}

async function prepare(
  ctx: ProviderContext,
  root: string,
  name: string,
  key: string,
): Promise<Pick<Handle, 'place' | 'folder'>> {
  const parent = join(stateFolder, 'snapshots');
  try {
    // First, since a recursive mkdir on a read-only file system says ENOENT.
    await access(root, constants.W_OK);
    await makeFolder(join(root, parent));
    return { place: 'endpoint', folder: join(parent, name) };
  } catch (error) {
    if (!['EROFS', 'EACCES', 'EPERM'].includes(errorCode(error) ?? '')) {
      throw GodwitError.wrap(error, 'PLATFORM_ERROR', `snapshot ${key}`);
    }
    await mkdir(join(ctx.workDir, 'snapshots'), { recursive: true });
    return { place: 'worker', folder: join('snapshots', name) };
  }
}

async function findSnapshot(ctx: ProviderContext, root: string, name: string): Promise<Snapshot | null> {
  for (const folder of [join(root, stateFolder, 'snapshots', name), join(ctx.workDir, 'snapshots', name)]) {
    const found = await readJson(join(folder, contentFile));
    if (found !== null) return checkInput(snapshotSchema, found, `snapshot ${name}`);
  }
  return null;
}

const snapshotSchema = Type.Object({
  key: Type.String(),
  instance: Type.String(),
  takenAt: Type.String(),
  consistency: Type.Enum(['crash', 'filesystem', 'stopped']),
  disks: Type.Array(
    Type.Object({
      id: Type.String(),
      size: Type.Integer(),
      token: Type.Union([Type.String(), Type.Null()]),
      changes: Type.Enum(['exact', 'unknown']),
      reason: Type.String(),
    }),
  ),
  handle: Type.Unsafe<JsonObject>(Type.Object({})),
});

/** What of the snapshot is no longer as it was, or null. */
async function brokenPart(ctx: ProviderContext, root: string, handle: Handle): Promise<string | null> {
  const folder = join(baseOf(ctx, root, handle), handle.folder);
  if ((await readJson(join(folder, contentFile))) === null) return handle.folder;
  for (const disk of handle.disks) {
    if (disk.base === 'scratch' && (await statOrNull(join(folder, disk.path))) === null) return disk.path;
  }
  return handle.mode === 'watch' ? changedSince(root, handle.stamps) : null;
}

/** Null when the files changed meanwhile. */
async function freeze(
  ctx: ProviderContext,
  root: string,
  instance: FolderInstance,
  request: SnapshotRequest,
  where: Pick<Handle, 'place' | 'folder'>,
): Promise<Snapshot | null> {
  const scratch = join(baseOf(ctx, root, where), where.folder);
  const environment = checkInput(sourceEnvironmentSchema, request.environment, 'source_environment');
  const stamps: Stamp[] = await stampFiles(root, instance.files, label(instance.entry));
  const takenAt = new Date().toISOString();
  if (environment.check_manifest !== false) await checkManifest(instance, ctx.signal);
  for (const { image, label: object } of instance.disks) {
    if (image !== null) await checkContent(image, object, ctx.signal);
  }
  const mode = await freezeFiles(instance, scratch, environment.freeze ?? 'auto', ctx);
  if (mode === 'watch') await rm(join(scratch, 'files'), { recursive: true, force: true });
  const disks = await frozenDisks(instance, root, scratch, mode, ctx.signal);
  if ((await changedSince(root, stamps)) !== null) return null;
  const handle: JsonObject = {
    mode,
    ...where,
    stamps: stamps.map((stamp): Json => ({ ...stamp })),
    disks: disks.map((disk): Json => ({ ...disk, slice: disk.slice === null ? null : { ...disk.slice } })),
  };
  return {
    key: request.key,
    instance: instance.entry.id,
    takenAt,
    consistency: 'stopped',
    disks: disks.map(({ id, size }) => ({
      id,
      size,
      token: null,
      changes: 'unknown',
      reason: 'files have no change tracker',
    })),
    handle,
  };
}
