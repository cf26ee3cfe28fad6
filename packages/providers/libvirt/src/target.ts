import { posix } from 'node:path';
import type { DiskAddress } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { OpenDisks, ProviderContext, TargetDisk, TargetProvider, TargetRequest } from '@godwit/provider';
import { imageError } from './checkpoint.ts';
import { type Host, openHost } from './connection.ts';
import { deployInstance, finalizeInstance, refuseTakenName, removeInstance } from './deploy.ts';
import { deleteDiskSnapshots, restoreDisks, snapshotDisks } from './disk-snapshot.ts';
import { type DiskFormat, destinationEnvironmentSchema, diskFormats } from './environment.ts';
import { isUsedByInstance } from './inventory.ts';
import { checkNetworks, destinationEnvironment, folderOf, placeNics, storageOf, storagesIn } from './placement.ts';
import {
  collapse,
  exists,
  type Replica,
  removeReplica,
  replicaHandle,
  replicaName,
  replicaOf,
  replicaOfDisk,
} from './replica.ts';

/** A libvirt host as a target: replica disks are image files in a folder, instances are domains. */
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
  const environment = destinationEnvironment(request);
  const host = await openHost(ctx);
  requireFiles(host);
  const needed = new Map<string, number>();
  for (const storage of storagesIn(request)) needed.set(await folderOf(host, storage), 0);
  for (const disk of request.instance.devices.disks) {
    const folder = await folderOf(host, storageOf(disk, request.storageMappings, environment));
    needed.set(folder, (needed.get(folder) ?? 0) + disk.size_bytes);
  }
  for (const [folder, bytes] of needed) await checkFolder(host, folder, bytes);
  await checkNetworks(host, placeNics(request.instance, request));
  await refuseTakenName(host, request);
}

/** @throws GodwitError UNSUPPORTED: disks cannot be written over a URI that leads to no files */
function requireFiles(host: Host): void {
  if (host.files.reach !== 'none') return;
  throw new GodwitError('UNSUPPORTED', host.ctx.endpoint, {
    what: 'being a target over this URI: disks could not be written there (use qemu+ssh, or connection_info/files "local" where the worker sees the files under the same paths)',
  });
}

async function checkFolder(host: Host, folder: string, needed: number): Promise<void> {
  const object = `folder ${folder} of ${host.ctx.endpoint}`;
  if ((await host.files.run('test', ['-w', folder], object)).code !== 0) {
    throw new GodwitError('FORBIDDEN', object, { reason: 'the user of the connection cannot write there' });
  }
  const { stdout } = await host.files.run('df', ['-B1', '--output=avail', '--', folder], object);
  const available = Number(stdout.trim().split('\n').at(-1));
  if (needed > available) {
    host.ctx.progress(
      `The disks hold up to ${needed} bytes, ${available} are free in ${folder}; only their data will take space`,
    );
  }
}

async function createDisks(
  ctx: ProviderContext,
  request: TargetRequest,
  existing: TargetDisk[],
): Promise<TargetDisk[]> {
  const environment = destinationEnvironment(request);
  const host = await openHost(ctx);
  requireFiles(host);
  const disks: TargetDisk[] = [];
  for (const disk of request.instance.devices.disks) {
    const known = existing.find(({ id }) => id === disk.id);
    if (known !== undefined) {
      disks.push(await keepDisk(host, known, disk.size_bytes));
      continue;
    }
    const folder = await folderOf(host, storageOf(disk, request.storageMappings, environment));
    const wanted = { id: disk.id, size: disk.size_bytes, format: environment.disk_format ?? 'qcow2' };
    disks.push(await createDisk(host, folder, request.key, wanted));
  }
  return disks;
}

async function createDisk(
  host: Host,
  folder: string,
  key: string,
  wanted: { id: string; size: number; format: DiskFormat },
): Promise<TargetDisk> {
  const { ledger } = host.ctx;
  for (let generation = 1; ; generation++) {
    const at = (format: DiskFormat) => {
      const path = posix.join(folder, replicaName(key, wanted.id, format, generation));
      return replicaOf(wanted.id, replicaHandle(path, format, key));
    };
    let handedOver = false;
    for (const format of diskFormats) {
      const replica = at(format);
      if (!(await exists(host, replica))) continue;
      // It belongs to an instance now: to write to it again would destroy that.
      if (await isUsedByInstance(host, replica.path)) {
        handedOver = true;
        continue;
      }
      const handle = replicaHandle(replica.path, format, key);
      await ledger.made(await ledger.intend('disk', replica.path, handle, 'transfer'));
      const kept = await keepDisk(host, { id: wanted.id, size: 0, zeroed: false, handle }, wanted.size);
      return { ...kept, zeroed: await isUntouched(host, replica) };
    }
    if (!handedOver) return makeDisk(host, at(wanted.format), wanted);
  }
}

async function makeDisk(host: Host, replica: Replica, wanted: { id: string; size: number }): Promise<TargetDisk> {
  const { ledger } = host.ctx;
  const { path, format } = replica;
  const handle = replicaHandle(path, format, replica.key);
  const entry = await ledger.intend('disk', path, handle, 'transfer');
  // Whole or not at all: it gets its name when it is made.
  const script = `
set -eu
rm -f "$1.new"
qemu-img create -q -f "$2" -- "$1.new" "$3"
mv -fT "$1.new" "$1"
`;
  const size = Math.ceil(wanted.size / 512) * 512;
  const result = await host.files.run('sh', ['-c', script, 'sh', path, format, String(size)], replica.object);
  if (result.code !== 0) throw imageError(result.stderr, replica.object);
  await ledger.made(entry);
  return { id: wanted.id, size, zeroed: true, handle };
}

/** A disk of an earlier execution, grown where the source grew. */
async function keepDisk(host: Host, disk: TargetDisk, wanted: number): Promise<TargetDisk> {
  const replica = replicaOfDisk(disk);
  const present = await sizeOf(host, replica);
  // Shorter than Godwit left it: what was cut off is lost, and growing it back would hide that behind zeroes.
  if (present < disk.size) {
    throw new GodwitError('TARGET_TOO_SMALL', replica.object, { needed: disk.size, available: present });
  }
  if (present >= wanted) return { ...disk, size: present, zeroed: false };
  await collapse(host, replica);
  const size = Math.ceil(wanted / 512) * 512;
  const args = ['resize', '-q', '-f', replica.format, '--', replica.path, String(size)];
  const result = await host.files.run('qemu-img', args, replica.object);
  if (result.code !== 0) {
    const cause = imageError(result.stderr, replica.object);
    if (cause.code === 'CONFLICT' || cause.code === 'TARGET_FULL') throw cause;
    throw new GodwitError('DISK_GREW', replica.object, { was: present, is: size }, { cause });
  }
  return { ...disk, size, zeroed: false };
}

async function sizeOf(host: Host, replica: Replica): Promise<number> {
  const args = ['info', '-U', '--output=json', '-f', replica.format, '--', replica.path];
  const result = await host.files.run('qemu-img', args, replica.object);
  if (result.code !== 0) {
    if (/No such file/.test(result.stderr)) throw new GodwitError('NOT_FOUND', `${replica.object} (${replica.path})`);
    throw imageError(result.stderr, replica.object);
  }
  const info: unknown = JSON.parse(result.stdout);
  return Number(typeof info === 'object' && info !== null ? Reflect.get(info, 'virtual-size') : Number.NaN);
}

/** True when nothing was ever written: all of it is a hole. */
async function isUntouched(host: Host, replica: Replica): Promise<boolean> {
  const args = ['map', '-U', '--output=json', '-f', replica.format, '--', replica.path];
  const result = await host.files.run('qemu-img', args, replica.object);
  if (result.code !== 0) return false;
  const map: unknown = JSON.parse(result.stdout);
  return (
    Array.isArray(map) &&
    map.every((run: unknown) => typeof run === 'object' && run !== null && Reflect.get(run, 'data') === false)
  );
}

async function openDisks(ctx: ProviderContext, disks: TargetDisk[], readOnly: boolean): Promise<OpenDisks> {
  const host = await openHost(ctx);
  requireFiles(host);
  const addresses: Record<string, DiskAddress> = {};
  const closers: (() => Promise<void>)[] = [];
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= Promise.all(closers.map((end) => end())).then(() => undefined);
    return closing;
  };
  try {
    for (const disk of disks) {
      const replica = replicaOfDisk(disk);
      if (!readOnly) await collapse(host, replica);
      const serving = await host.files.serve({
        path: replica.path,
        format: replica.format,
        readOnly,
        label: replica.object,
      });
      closers.push(() => serving.close());
      addresses[disk.id] = serving.address;
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close };
}

async function deleteDisks(ctx: ProviderContext, disks: TargetDisk[]): Promise<void> {
  const host = await openHost(ctx);
  for (const disk of disks) {
    const replica = replicaOfDisk(disk);
    await deleteReplica(host, replica);
    await ctx.ledger.removed('disk', replica.path);
  }
}

/** Removes a replica disk, unless an instance took it over: then it is no longer ours. Gone already is success. */
export async function deleteReplica(host: Host, replica: Replica): Promise<void> {
  if (await isUsedByInstance(host, replica.path)) return;
  await removeReplica(host, replica);
}
