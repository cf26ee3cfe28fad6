import { GodwitError } from '@godwit/domain';
import type { ProviderContext, TargetDisk } from '@godwit/provider';
import type { VolumeSnapshot } from './client/block-storage.ts';
import type { Cloud } from './client/cloud.ts';
import { openCloud } from './connection.ts';
import { isMarked, marksOf } from './mark.ts';
import { diskName, ownVolume, type VolumeReplica, volumeReplicas } from './replica.ts';
import { deleteSnapshot, deleteVolume } from './source-things.ts';
import { findOrCreate, orNull, snapshotReady, volumeReady } from './wait.ts';

/** See `TargetProvider.snapshotDisks`. Staged files need none: what is deployed is always a copy of them. */
export async function snapshotDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]> {
  const cloud = openCloud(ctx);
  for (const replica of volumeReplicas(disks)) {
    const volume = await ownVolume(cloud, replica);
    const name = diskName(key, replica.id);
    const handle = { key, volume: volume.id };
    const entry = await ctx.ledger.intend('disk_snapshot', name, handle, 'deployment');
    const made = await findOrCreate(
      () => findSnapshot(cloud, key, replica.volume),
      () => cloud.volumes.createSnapshot(volume.id, name, marksOf(key, 'disk-snapshot')),
    );
    await snapshotReady(cloud, made.id);
    await ctx.ledger.made(entry);
  }
  return disks;
}

/** The snapshot that {@link snapshotDisks} made by this key; null when there is none. */
export async function findSnapshot(cloud: Cloud, key: string, volume: string): Promise<VolumeSnapshot | null> {
  const found = await cloud.volumes.snapshots({ volume_id: volume });
  return found.find(({ metadata }) => isMarked(metadata, key, 'disk-snapshot')) ?? null;
}

/** See `TargetProvider.restoreDisks`. A volume that cannot go back is replaced by a new one from the snapshot. */
export async function restoreDisks(ctx: ProviderContext, key: string, disks: TargetDisk[]): Promise<TargetDisk[]> {
  const cloud = openCloud(ctx);
  const restored: TargetDisk[] = [];
  for (const disk of disks) {
    const [replica] = volumeReplicas([disk]);
    restored.push(replica === undefined ? disk : await restoreDisk(cloud, ctx, key, disk, replica));
  }
  return restored;
}

async function restoreDisk(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  disk: TargetDisk,
  replica: VolumeReplica,
): Promise<TargetDisk> {
  const volume = await ownVolume(cloud, replica);
  if (volume.metadata?.godwit_restored === key) return disk;
  const snapshot = await findSnapshot(cloud, key, replica.volume);
  if (snapshot === null) throw new GodwitError('NOT_FOUND', `snapshot ${key} of ${replica.object}`);
  await volumeReady(cloud, volume.id, 'available', replica.id);
  // Before it is asked for: a worker that dies now leaves nobody in doubt that this snapshot may be used up.
  await cloud.volumes.addMetadata(volume.id, { godwit_reverting: key });
  if (await revert(cloud, ctx, volume.id, snapshot.id, replica)) {
    // Not twice: with NFS Cinder copies over the newest file of the chain, after which the snapshot cannot be read again.
    await cloud.volumes.addMetadata(volume.id, { godwit_restored: key });
    return disk;
  }
  const name = diskName(replica.key, replica.id);
  const handle = { ...disk.handle };
  const entry = await ctx.ledger.intend('disk', name, handle, 'transfer');
  const made = await findOrCreate(
    async () =>
      (await cloud.volumes.volumes({ metadata: JSON.stringify({ godwit_key: replica.key }) })).find(
        (one) => one.metadata?.godwit_restored === key && one.metadata.godwit_disk === replica.id,
      ) ?? null,
    () =>
      cloud.volumes.createVolume({
        name,
        size: volume.size,
        snapshot_id: snapshot.id,
        metadata: {
          ...marksOf(replica.key, 'replica'),
          godwit_transfer: replica.transfer,
          godwit_disk: replica.id,
          godwit_zeroed: 'yes',
          godwit_restored: key,
        },
      }),
  );
  await volumeReady(cloud, made.id, 'available', replica.id);
  await ctx.ledger.made(entry, { ...handle, volume: made.id });
  const old = await orNull(cloud.volumes.volume(volume.id));
  if (old?.status !== 'error') await deleteSnapshot(cloud, snapshot.id);
  await deleteVolume(cloud, volume.id);
  return { ...disk, handle: { ...handle, volume: made.id } };
}

/** False: the back end does not, and it was said. */
async function revert(
  cloud: Cloud,
  ctx: ProviderContext,
  volume: string,
  snapshot: string,
  { id }: VolumeReplica,
): Promise<boolean> {
  try {
    await cloud.volumes.action(volume, { revert: { snapshot_id: snapshot } });
    await volumeReady(cloud, volume, 'available', id);
    return true;
  } catch (error) {
    if (!(error instanceof GodwitError) || error.kind === 'retryable' || error.kind === 'canceled') throw error;
    ctx.progress(`Volume ${volume} does not go back to its snapshot (${error.message}); a new one takes its place`);
    return false;
  }
}

/** See `TargetProvider.deleteDiskSnapshots`. */
export async function deleteDiskSnapshots(
  ctx: ProviderContext,
  key: string,
  disks: TargetDisk[],
): Promise<TargetDisk[]> {
  const cloud = openCloud(ctx);
  for (const replica of volumeReplicas(disks)) {
    await deleteDiskSnapshot(cloud, key, replica.volume);
    await ctx.ledger.removed('disk_snapshot', diskName(key, replica.id));
  }
  return disks;
}

/** Gone already is success. */
export async function deleteDiskSnapshot(cloud: Cloud, key: string, volume: string): Promise<void> {
  const snapshot = await findSnapshot(cloud, key, volume);
  if (snapshot !== null) await deleteSnapshot(cloud, snapshot.id);
}
