import { mkdir, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type DiskAddress, openDisk } from '@godwit/disk';
import { GodwitError } from '@godwit/domain';
import type { OpenDisks, ProviderContext, TargetDisk, TargetProvider, TargetRequest } from '@godwit/provider';
import type { Volume } from './client/block-storage.ts';
import type { Cloud } from './client/cloud.ts';
import { openCloud } from './connection.ts';
import { deployInstance, finalizeInstance, removeInstance } from './deploy.ts';
import { deleteDiskSnapshot, deleteDiskSnapshots, restoreDisks, snapshotDisks } from './disk-snapshot.ts';
import { type DestinationEnvironment, destinationEnvironmentSchema } from './environment.ts';
import { GIB } from './inventory.ts';
import { checkKey, isMarked, marksOf } from './mark.ts';
import { openMinion, whyNoMinion } from './minion.ts';
import { checkNames, destinationEnvironment, typeOf } from './placement.ts';
import { pooledMinion } from './pool-machine.ts';
import {
  diskName,
  type FileReplica,
  isHandedOver,
  minionPart,
  ownVolume,
  replicaOfDisk,
  type VolumeReplica,
} from './replica.ts';
import { serveVolumes } from './serve.ts';
import { requireQuota } from './source.ts';
import { deleteVolume, isHeld } from './source-things.ts';
import { allOf, findOrCreate, makeReady, orNull, volumeReady } from './wait.ts';

/** An OpenStack cloud as a target: replica disks are volumes, written through a minion, or files that become volumes. */
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
  const cloud = openCloud(ctx);
  await checkNames(cloud, request);
  await choosePath(cloud, environment, ctx.pool !== undefined);
  const key = checkKey(request.key);
  const present = await replicaVolumes(cloud, key);
  const missing = request.instance.devices.disks.filter(
    (disk) => !present.some((volume) => volume.metadata?.godwit_disk === disk.id),
  );
  const limits = await cloud.volumes.limits();
  const gib = missing.reduce((sum, disk) => sum + gibOf(disk.size_bytes), 0);
  requireQuota(cloud, 'volumes', limits.maxTotalVolumes, limits.totalVolumesUsed, missing.length);
  requireQuota(cloud, 'GiB of volumes', limits.maxTotalVolumeGigabytes, limits.totalGigabytesUsed, gib);
}

/** @throws GodwitError INVALID_INPUT: neither way can be gone */
async function choosePath(
  cloud: Cloud,
  environment: DestinationEnvironment,
  pooled: boolean,
): Promise<{ path: 'minion' | 'glance'; because: string }> {
  const asked = environment.data_path ?? 'auto';
  if (pooled && asked !== 'glance') return { path: 'minion', because: 'through a machine of a pool' };
  const missing = asked === 'glance' ? 'as asked' : await whyNoMinion(cloud, environment);
  if (missing === null)
    return { path: 'minion', because: asked === 'minion' ? 'as asked' : 'only what differs is sent' };
  if (asked === 'minion') throw new GodwitError('INVALID_INPUT', cloud.label, { reason: missing });
  if (environment.staging_folder === undefined) {
    const reason =
      asked === 'glance'
        ? 'data_path glance needs staging_folder'
        : `${missing}; and without staging_folder Glance cannot be used either`;
    throw new GodwitError('INVALID_INPUT', cloud.label, { reason });
  }
  return { path: 'glance', because: missing };
}

/** Whole GiB: Cinder knows no smaller unit. */
export function gibOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / GIB));
}

/** Replica volumes of a key, without those that instances took over. */
async function replicaVolumes(cloud: Cloud, key: string): Promise<Volume[]> {
  const found = await cloud.volumes.volumes({ metadata: JSON.stringify({ godwit_key: key }) });
  return found.filter(({ metadata }) => isMarked(metadata, key, 'replica'));
}

async function createDisks(
  ctx: ProviderContext,
  request: TargetRequest,
  existing: TargetDisk[],
): Promise<TargetDisk[]> {
  const environment = destinationEnvironment(request);
  const cloud = openCloud(ctx);
  checkKey(request.key);
  const { path, because } = await choosePath(cloud, environment, ctx.pool !== undefined);
  if (existing.length === 0) ctx.progress(`The bytes go into ${cloud.label} by ${path} (${because})`);
  const ends = await Promise.allSettled(
    request.instance.devices.disks.map((disk) => {
      const known = existing.find(({ id }) => id === disk.id);
      if (known !== undefined) return keepDisk(cloud, known, disk.size_bytes, environment);
      if (path === 'glance') return stagedDisk(ctx, request, disk, environment.staging_folder ?? '');
      return createDisk(cloud, ctx, request, disk);
    }),
  );
  return ends.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value;
  });
}

type SourceDisk = TargetRequest['instance']['devices']['disks'][number];

async function createDisk(
  cloud: Cloud,
  ctx: ProviderContext,
  request: TargetRequest,
  disk: SourceDisk,
): Promise<TargetDisk> {
  const environment = destinationEnvironment(request);
  const { key, transfer } = request;
  const name = diskName(key, disk.id);
  const base = { kind: 'volume', key, transfer, environment: minionPart(environment) };
  const entry = await ctx.ledger.intend('disk', name, { ...base, volume: '' }, 'transfer');
  const type = typeOf(disk, request, environment);
  const look = async () =>
    (await replicaVolumes(cloud, key)).find((volume) => volume.metadata?.godwit_disk === disk.id) ?? null;
  const create = () =>
    cloud.volumes.createVolume({
      name,
      size: gibOf(disk.size_bytes),
      description: `Disk ${disk.id} of ${request.instance.name}`.slice(0, 255),
      metadata: marksOf(key, 'replica', {
        godwit_transfer: transfer,
        godwit_disk: disk.id,
        ...(environment.new_volumes === 'trust' ? { godwit_zeroed: TRUSTED } : {}),
      }),
      ...(type === null ? {} : { volume_type: type }),
      ...(environment.volume_availability_zone === undefined
        ? {}
        : { availability_zone: environment.volume_availability_zone }),
    });
  const volume = await makeReady(
    () => findOrCreate(look, create),
    async (made) => {
      await ctx.ledger.made(entry, { ...base, volume: made.id });
      return isHeld(made) ? made : volumeReady(cloud, made.id, 'available', name);
    },
    async (made) => {
      // What was written to it is nobody's to throw away.
      if (isNew(made)) await deleteVolume(cloud, made.id);
    },
  );
  const handle = { ...base, volume: volume.id };
  const known = { id: disk.id, size: volume.size * GIB, zeroed: isNew(volume), handle };
  return volume.size * GIB < disk.size_bytes ? keepDisk(cloud, known, disk.size_bytes, environment) : known;
}

/** Nobody has opened it to write. */
function isNew({ metadata }: Volume): boolean {
  return metadata?.godwit_zeroed === undefined || metadata.godwit_zeroed === TRUSTED;
}

/** A disk of an earlier execution, grown where the source grew. */
async function keepDisk(
  cloud: Cloud,
  disk: TargetDisk,
  wanted: number,
  environment: DestinationEnvironment,
): Promise<TargetDisk> {
  const replica = replicaOfDisk(disk);
  if (replica.kind === 'file') return keepFile(replica, disk, wanted);
  const volume = await ownVolume(cloud, replica);
  if (isHandedOver(volume)) {
    throw new GodwitError('CONFLICT', replica.object, { reason: 'an instance took its volume over' });
  }
  if (volume.status.startsWith('error')) {
    const reason = `the status of volume ${volume.id} is ${volume.status}`;
    throw new GodwitError('PLATFORM_ERROR', replica.object, { reason });
  }
  const handle = { ...disk.handle, environment: minionPart(environment) };
  const size = volume.size * GIB;
  if (size < disk.size) {
    throw new GodwitError('TARGET_TOO_SMALL', replica.object, { needed: disk.size, available: size });
  }
  if (size >= wanted) return { ...disk, size, zeroed: false, handle };
  try {
    await volumeReady(cloud, volume.id, 'available', replica.id);
    // Some back ends extend it and then refuse to attach it: who attaches must know.
    await cloud.volumes.addMetadata(volume.id, { godwit_grown_from: String(volume.size) });
    await cloud.volumes.action(volume.id, { 'os-extend': { new_size: gibOf(wanted) } });
    const grown = await volumeReady(cloud, volume.id, 'available', replica.id);
    return { ...disk, size: grown.size * GIB, zeroed: false, handle };
  } catch (error) {
    if (error instanceof GodwitError && (error.kind === 'retryable' || error.code === 'QUOTA_EXCEEDED')) throw error;
    throw new GodwitError('DISK_GREW', replica.object, { was: size, is: wanted }, { cause: error });
  }
}

async function stagedDisk(
  ctx: ProviderContext,
  request: TargetRequest,
  disk: SourceDisk,
  folder: string,
): Promise<TargetDisk> {
  const path = join(folder, `${diskName(request.key, disk.id)}.raw`);
  const handle = { kind: 'file', path, key: request.key };
  const entry = await ctx.ledger.intend('disk', path, handle, 'transfer');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = await open(path, 'a+', 0o600);
  try {
    const { size, blocks } = await file.stat();
    const wanted = gibOf(disk.size_bytes) * GIB;
    if (size < wanted) await file.truncate(wanted);
    await ctx.ledger.made(entry);
    return { id: disk.id, size: Math.max(size, wanted), zeroed: blocks === 0, handle };
  } finally {
    await file.close();
  }
}

async function keepFile(replica: FileReplica, disk: TargetDisk, wanted: number): Promise<TargetDisk> {
  const found = await stat(replica.path).catch(() => null);
  if (found === null) throw new GodwitError('NOT_FOUND', `${replica.object} (${replica.path} on this worker)`);
  if (found.size < disk.size) {
    throw new GodwitError('TARGET_TOO_SMALL', replica.object, { needed: disk.size, available: found.size });
  }
  const size = Math.max(found.size, gibOf(wanted) * GIB);
  if (size > found.size) {
    const file = await open(replica.path, 'r+');
    await file.truncate(size).finally(() => file.close());
  }
  return { ...disk, size, zeroed: false };
}

async function openDisks(ctx: ProviderContext, disks: TargetDisk[], readOnly: boolean): Promise<OpenDisks> {
  const replicas = disks.map(replicaOfDisk);
  const addresses: Record<string, DiskAddress> = {};
  for (const replica of replicas) {
    if (replica.kind !== 'file') continue;
    if ((await stat(replica.path).catch(() => null)) === null) {
      throw new GodwitError('NOT_FOUND', `${replica.object} (${replica.path} on this worker)`);
    }
    addresses[replica.id] = { kind: 'file', path: replica.path, readOnly };
  }
  const volumes = replicas.filter((replica) => replica.kind === 'volume');
  if (volumes.length === 0) return { addresses, close: async () => undefined };
  const served = await openVolumes(ctx, volumes, readOnly);
  return { addresses: { ...addresses, ...served.addresses }, close: served.close };
}

async function openVolumes(ctx: ProviderContext, replicas: VolumeReplica[], readOnly: boolean): Promise<OpenDisks> {
  const cloud = openCloud(ctx);
  const [first] = replicas;
  if (first === undefined) return { addresses: {}, close: async () => undefined };
  const fresh: VolumeReplica[] = [];
  for (const replica of replicas) {
    const volume = await ownVolume(cloud, replica);
    if (isHandedOver(volume)) {
      throw new GodwitError('CONFLICT', replica.object, { reason: 'an instance took its volume over' });
    }
    // With NFS, deleting the snapshot that a volume was restored from takes what was written to the volume since.
    const restored = new Set([volume.metadata?.godwit_reverting, volume.metadata?.godwit_restored]);
    for (const key of readOnly ? [] : restored) {
      if (key !== undefined) await deleteDiskSnapshot(cloud, key, volume.id);
    }
    if (volume.metadata?.godwit_zeroed === undefined) fresh.push(replica);
    else if (isNew(volume) && !readOnly) await cloud.volumes.addMetadata(volume.id, { godwit_zeroed: 'yes' });
  }
  const minion = await (pooledMinion(cloud, ctx) ?? openMinion(cloud, ctx, first.key, first.environment));
  const serve = (list: VolumeReplica[], onlyRead: boolean) =>
    serveVolumes(
      cloud,
      ctx,
      minion,
      list.map(({ id, volume }) => ({ id, volume })),
      onlyRead,
    );
  if (fresh.length > 0 && readOnly) await (await zeroed(cloud, ctx, fresh, () => serve(fresh, false))).close();
  return readOnly ? serve(replicas, true) : zeroed(cloud, ctx, fresh, () => serve(replicas, false));
}

/** `godwit_zeroed` of a volume that is taken for zero unseen, until somebody opens it to write; then `yes`. */
const TRUSTED = 'trusted';
/** Bytes zeroed by one request: a busy minion may have to read or to write each of them before it replies. */
const ZERO_STEP = 32 * 1_048_576;

/** Writes zeroes over new volumes before anybody else writes: not every back end gives zeroed ones. */
async function zeroed(
  cloud: Cloud,
  ctx: ProviderContext,
  fresh: readonly VolumeReplica[],
  serve: () => Promise<OpenDisks>,
): Promise<OpenDisks> {
  const served = await serve();
  try {
    await allOf(
      fresh.map(async (replica) => {
        const address = served.addresses[replica.id];
        if (address === undefined) throw new GodwitError('INTERNAL', replica.object, { reason: 'it is not served' });
        const disk = await openDisk(address, { label: replica.object });
        try {
          for (let at = 0; at < disk.size; at += ZERO_STEP) {
            await disk.zero(at, Math.min(ZERO_STEP, disk.size - at), ctx.signal);
          }
          await disk.flush(ctx.signal);
        } finally {
          await disk.close();
        }
        await cloud.volumes.addMetadata(replica.volume, { godwit_zeroed: 'yes' });
      }),
    );
    return served;
  } catch (error) {
    await served.close();
    throw error;
  }
}

async function deleteDisks(ctx: ProviderContext, disks: TargetDisk[]): Promise<void> {
  const cloud = openCloud(ctx);
  for (const disk of disks) {
    const replica = replicaOfDisk(disk);
    if (replica.kind === 'file') {
      await rm(replica.path, { force: true });
      await ctx.ledger.removed('disk', replica.path);
      continue;
    }
    await deleteReplica(cloud, replica);
    await ctx.ledger.removed('disk', diskName(replica.key, replica.id));
  }
}

/** Removes a replica volume, unless an instance took it over: then it is no longer ours. Gone already is success. */
export async function deleteReplica(cloud: Cloud, replica: VolumeReplica): Promise<void> {
  const volume = await orNull(ownVolume(cloud, replica));
  if (volume === null || isHandedOver(volume)) return;
  await deleteVolume(cloud, volume.id);
}
