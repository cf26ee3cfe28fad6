import { createHash } from 'node:crypto';
import { readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { GodwitError, type JsonObject } from '@godwit/domain';
import { checkInput, type TargetDisk } from '@godwit/provider';
import { type Static, Type } from 'typebox';
import { fileName, pathWithin, statOrNull } from './connection.ts';
import { type DiskFormat, diskFormats } from './environment.ts';
import { leaseDraft } from './lease.ts';
import { readJson, readMark, removeEmptyParents, requireMark, stateFolder } from './mark.ts';

const handleSchema = Type.Object({
  /** File of the disk, below the endpoint's folder. */
  path: Type.String(),
  format: Type.Enum([...diskFormats]),
  /** Key in the mark of its folder. */
  key: Type.String(),
});

/** A replica disk: what a {@link TargetDisk} of this provider stands for. */
export interface Replica extends Static<typeof handleSchema> {
  /** For messages. */
  object: string;
  /** Absolute. */
  file: string;
}

/** @throws GodwitError INVALID_INPUT, FORBIDDEN (a handle that leads elsewhere) */
export async function replicaOf(root: string, disk: Pick<TargetDisk, 'id' | 'handle'>): Promise<Replica> {
  const object = `replica disk ${disk.id}`;
  const handle = checkInput(handleSchema, disk.handle, `handle of ${object}`);
  return { ...handle, object, file: await pathWithin(root, handle.path, object) };
}

/** As it goes into a {@link TargetDisk}. */
export function replicaHandle(path: string, format: DiskFormat, key: string): JsonObject {
  return { path, format, key };
}

/** Folder of the replica disks of one request, below the endpoint's folder. */
export function replicaFolder(name: string, key: string): string {
  return join(stateFolder, 'replicas', `${fileName(name)}-${checkedKey(key)}`);
}

/** A key becomes part of file names. @throws GodwitError INVALID_INPUT */
export function checkedKey(key: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$/.test(key)) return key;
  throw new GodwitError('INVALID_INPUT', `key ${key}`, { reason: 'it is not fit for a file name' });
}

/** File name of a disk without extension: unique within the instance, readable where the id allows it. */
export function diskFileName(id: string): string {
  const plain = fileName(id.replace(/\.(raw|img|qcow2|vmdk|vhdx?)$/i, ''));
  return plain === id ? plain : `${plain}-${createHash('sha256').update(id).digest('hex').slice(0, 6)}`;
}

/** Record beside a replica disk that was handed over to an instance: where it went. */
export function movedPath(disk: string): string {
  return `${disk}.moved`;
}

/** Where the disk's file is now, absolute: also after it was handed over to an instance. Null: gone. */
export async function presentFile(root: string, replica: Replica): Promise<string | null> {
  if ((await statOrNull(replica.file)) !== null) return replica.file;
  for (const place of await placesMovedTo(replica)) {
    const file = await pathWithin(root, place, replica.object);
    if ((await statOrNull(file)) !== null) return file;
  }
  return null;
}

/** Takes a disk back that a deployment took and did not bring to its end. */
export async function bringBack(root: string, replica: Replica): Promise<void> {
  const file = await presentFile(root, replica);
  if (file === null || file === replica.file) return;
  await requireMark(dirname(replica.file), replica.key, replica.object);
  await rename(file, replica.file);
  await rm(movedPath(replica.file), { force: true });
}

/** The deployment is through: the disk belongs to its instance, and nothing here speaks of it any more. */
export async function letGo(root: string, replica: Replica): Promise<void> {
  const folder = dirname(replica.file);
  if ((await statOrNull(replica.file)) !== null || (await placesMovedTo(replica)).length === 0) return;
  await requireMark(folder, replica.key, replica.object);
  // What a worker leaves that is killed while it takes a lease; snapshots may be another deployment's.
  const drafts = await filesBeside(leaseDraft(replica.file, ''));
  for (const file of [...(await layersBeside(replica)), ...drafts]) await rm(file, { force: true });
  await rm(movedPath(replica.file), { force: true });
  await removeWhenEmpty(root, folder);
}

/** All layers that lie beside a replica disk, used or not, absolute: see `layers.ts`. */
export async function layersBeside(replica: Replica): Promise<string[]> {
  return await filesBeside(`${replica.file}.layer-`);
}

/** Files whose path begins so. */
async function filesBeside(beginning: string): Promise<string[]> {
  const folder = dirname(beginning);
  const prefix = basename(beginning);
  return (await readdir(folder)).filter((name) => name.startsWith(prefix)).map((name) => join(folder, name));
}

async function placesMovedTo(replica: Replica): Promise<string[]> {
  const moved = await readJson(movedPath(replica.file));
  if (typeof moved !== 'object' || moved === null) return [];
  const places: unknown[] = [Reflect.get(moved, 'to'), Reflect.get(moved, 'building')];
  return places.filter((place) => typeof place === 'string');
}

/**
 * The disk's file is there and in a folder that is ours.
 *
 * @throws GodwitError CONFLICT (handed over to an instance, or gone), FORBIDDEN
 */
export async function requireReplica(replica: Replica): Promise<void> {
  if ((await statOrNull(replica.file)) === null) {
    const [to] = await placesMovedTo(replica);
    const reason =
      to !== undefined
        ? `it was handed over to the deployed instance (${to}); delete the replica disks to start anew`
        : 'its file is gone; delete the replica disks to start anew';
    throw new GodwitError('CONFLICT', replica.object, { reason });
  }
  await requireMark(dirname(replica.file), replica.key, replica.object);
}

/** Removes a replica disk and all that belongs to it; its folder too when it was the last. Gone already is success. */
export async function removeReplica(root: string, replica: Replica): Promise<void> {
  const folder = dirname(replica.file);
  if ((await statOrNull(folder)) === null) return;
  await requireMark(folder, replica.key, replica.object);
  const name = basename(replica.file);
  for (const other of await readdir(folder)) {
    if (other === name || other.startsWith(`${name}.`)) await rm(join(folder, other), { force: true });
  }
  await removeWhenEmpty(root, folder);
}

async function removeWhenEmpty(root: string, folder: string): Promise<void> {
  const left = (await readdir(folder)).filter((other) => !other.startsWith('.godwit'));
  if (left.length === 0 && (await readMark(folder))?.kind === 'replica' && folder !== root) {
    await rm(folder, { recursive: true, force: true });
    await removeEmptyParents(root, folder);
  }
}
