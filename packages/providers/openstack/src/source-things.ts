import { GodwitError } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import { takeFromMinions } from './attachment.ts';
import type { Volume, VolumeSnapshot } from './client/block-storage.ts';
import type { Cloud } from './client/cloud.ts';
import type { Image } from './client/image.ts';
import { checkKey, digest, isMarked, isOurs, marksOf, PREFIX } from './mark.ts';
import { removeMinion } from './minion.ts';
import { findOrCreate, gone, makeReady, orNull, snapshotReady, volumeReady, waitUntil } from './wait.ts';

/** What was frozen of one disk. */
export type FrozenDisk =
  | { kind: 'volume'; snapshot: string; type: string | null; gib: number }
  | { kind: 'image'; image: string; gib: number };

/** Name of a thing that belongs to one disk of a source snapshot. */
export function sourceName(key: string, disk: string): string {
  return `${PREFIX}${checkKey(key)}-${digest(disk)}`;
}

/** Volume snapshots of a key, by the disk they are of. */
export async function frozenVolumes(cloud: Cloud, key: string): Promise<Map<string, VolumeSnapshot>> {
  const found = await cloud.volumes.snapshots({ metadata: JSON.stringify({ godwit_key: key }) });
  return new Map(found.filter(({ metadata }) => isMarked(metadata, key)).map((one) => [one.volume_id, one]));
}

/** Volume snapshots that Nova made with the server snapshot of a key; they bear its name, and no mark at first. */
export function novaSnapshots(cloud: Cloud, key: string): Promise<VolumeSnapshot[]> {
  return cloud.volumes.snapshots({ name: `snapshot for ${PREFIX}${checkKey(key)}` });
}

/** Images of a key: the server snapshot, and what was made of volumes to be read by Glance. */
export async function frozenImages(cloud: Cloud, key: string): Promise<Image[]> {
  const images = await cloud.images.images({ owner: await cloud.projectId() });
  // Cinder makes images without our mark; it is put on them afterwards, unless the worker died between.
  return images.filter((image) => isMarked(image, key) || image.name?.startsWith(`${PREFIX}${key}-`));
}

/** The snapshot of one volume, ready. Some back ends refuse it while the server is busy with something else. */
export function freezeVolume(cloud: Cloud, key: string, volume: Volume): Promise<VolumeSnapshot> {
  return makeReady(
    () =>
      findOrCreate(
        async () => (await frozenVolumes(cloud, key)).get(volume.id) ?? null,
        () => cloud.volumes.createSnapshot(volume.id, sourceName(key, volume.id), marksOf(key, 'source')),
      ),
    (made) => snapshotReady(cloud, made.id),
    (made) => deleteSnapshot(cloud, made.id),
  );
}

/** The server's own snapshot, when its bytes are frozen; the upload may go on. */
export async function freezeRoot(cloud: Cloud, key: string, serverId: string): Promise<string> {
  const name = `${PREFIX}${key}`;
  const image = await findOrCreate(
    async () => (await frozenImages(cloud, key)).find((one) => one.name === name)?.id ?? null,
    () => cloud.compute.createImage(serverId, name, marksOf(key, 'source')),
  );
  // The bytes are of the moment when the hypervisor's copy is done and the upload begins.
  await waitUntil(
    cloud.signal,
    { object: `snapshot of instance ${serverId} of ${cloud.label}`, until: 'frozen', seconds: 1_800 },
    () => cloud.compute.server(serverId),
    (server) => !/image_(snapshot|pending)/.test(server['OS-EXT-STS:task_state'] ?? ''),
  );
  return image;
}

export function imageReady(cloud: Cloud, id: string): Promise<Image> {
  const object = `image ${id} of ${cloud.label}`;
  return waitUntil(
    cloud.signal,
    { object, until: 'active', seconds: 3_600 },
    () => cloud.images.image(id),
    ({ status }) => {
      if (['killed', 'deleted', 'pending_delete', 'deactivated'].includes(status)) {
        throw new GodwitError('PLATFORM_ERROR', object, { reason: `its status is ${status}` });
      }
      return status === 'active';
    },
  );
}

/** The image that is a frozen disk, once it is there. @throws GodwitError SNAPSHOT_LOST: somebody deleted it, or it broke */
export async function frozenImage(cloud: Cloud, id: string): Promise<Image> {
  try {
    return await imageReady(cloud, id);
  } catch (error) {
    const now = error instanceof GodwitError ? await orNull(cloud.images.image(id)) : undefined;
    if (now !== null && !['killed', 'deleted', 'pending_delete'].includes(now?.status ?? '')) throw error;
    throw new GodwitError('SNAPSHOT_LOST', `image ${id} of ${cloud.label}`, {}, { cause: error });
  }
}

/** A volume of the project that holds the frozen bytes of a disk. */
export async function thawedVolume(cloud: Cloud, key: string, disk: string, frozen: FrozenDisk): Promise<Volume> {
  const name = sourceName(key, disk);
  const metadata = marksOf(key, 'source', { godwit_disk: disk });
  if (frozen.kind === 'image') await frozenImage(cloud, frozen.image);
  return makeReady(
    () =>
      findOrCreate(
        async () => (await sourceVolumes(cloud, key)).find((one) => one.metadata?.godwit_disk === disk) ?? null,
        () =>
          cloud.volumes.createVolume({
            name,
            size: frozen.gib,
            metadata,
            ...(frozen.kind === 'volume'
              ? { snapshot_id: frozen.snapshot, ...(frozen.type === null ? {} : { volume_type: frozen.type }) }
              : { imageRef: frozen.image }),
          }),
      ),
    async (volume) => (isHeld(volume) ? volume : volumeReady(cloud, volume.id, 'available', name)),
    (volume) => deleteVolume(cloud, volume.id),
  );
}

/** In the hands of a minion, or about to be or no more. */
export function isHeld(volume: Volume): boolean {
  return ['in-use', 'attaching', 'detaching', 'reserved'].includes(volume.status);
}

export async function sourceVolumes(cloud: Cloud, key: string): Promise<Volume[]> {
  const found = await cloud.volumes.volumes({ metadata: JSON.stringify({ godwit_key: key }) });
  return found.filter(({ metadata }) => isMarked(metadata, key, 'source'));
}

/** Removes all that was made in the source cloud for a key. Gone already is success. */
export async function removeSource(cloud: Cloud, ctx: ProviderContext, key: string): Promise<void> {
  await removeMinion(cloud, checkKey(key));
  await ctx.ledger.removed('export', `${PREFIX}m-${key}`);
  const volumes = await sourceVolumes(cloud, key);
  await Promise.all(volumes.map((volume) => deleteVolume(cloud, volume.id)));
  await removeFrozen(cloud, key);
}

/** Removes the snapshots of a key and the images that hold frozen bytes. */
export async function removeFrozen(cloud: Cloud, key: string): Promise<void> {
  const images = await frozenImages(cloud, key);
  await Promise.all(images.map((image) => orNull(cloud.images.deleteImage(image.id))));
  for (const group of await groupSnapshots(cloud, key)) await orNull(cloud.volumes.deleteGroupSnapshot(group.id));
  const marked = [...(await frozenVolumes(cloud, key)).values()];
  for (const snapshot of [...marked, ...(await novaSnapshots(cloud, key))]) {
    if (snapshot.group_snapshot_id) continue;
    await deleteSnapshot(cloud, snapshot.id);
  }
}

async function groupSnapshots(cloud: Cloud, key: string) {
  try {
    const found = await cloud.volumes.groupSnapshots({ name: `${PREFIX}${key}` });
    return found.filter(({ name }) => name === `${PREFIX}${key}`);
  } catch (error) {
    // Clouds may forbid groups altogether: then none was made.
    if (error instanceof GodwitError && (error.code === 'FORBIDDEN' || error.code === 'NOT_FOUND')) return [];
    throw error;
  }
}

/**
 * Deletes a volume when nothing holds it any more, and waits until it is gone. A minion that still holds it lets go.
 *
 * One in error goes together with its snapshots where all are ours: some back ends (Cinder's NFS driver) delete no
 * snapshot of a volume in error.
 */
export async function deleteVolume(cloud: Cloud, id: string): Promise<void> {
  await takeFromMinions(cloud, id);
  const object = `volume ${id} of ${cloud.label}`;
  const seen = await waitUntil(
    cloud.signal,
    { object, until: 'free to be deleted', seconds: 600 },
    () => orNull(cloud.volumes.volume(id)),
    (volume) => volume === null || volume.status === 'available' || volume.status.startsWith('error'),
  );
  if (seen === null) return;
  await orNull(cloud.volumes.deleteVolume(id, seen.status === 'error' && (await hasOnlyOurSnapshots(cloud, id))));
  await gone(cloud, object, () => cloud.volumes.volume(id));
}

async function hasOnlyOurSnapshots(cloud: Cloud, volume: string): Promise<boolean> {
  const snapshots = await cloud.volumes.snapshots({ volume_id: volume });
  return snapshots.length > 0 && snapshots.every(({ metadata }) => isOurs(metadata));
}

/**
 * Deletes a snapshot and waits until it is gone. Gone already is success.
 *
 * @throws PLATFORM_ERROR its volume is in error: asked to delete it all the same, some back ends leave it in a state that
 * only an administrator can change. {@link deleteVolume} takes both.
 */
export async function deleteSnapshot(cloud: Cloud, id: string): Promise<void> {
  const snapshot = await orNull(cloud.volumes.snapshot(id));
  if (snapshot === null) return;
  const volume = await orNull(cloud.volumes.volume(snapshot.volume_id));
  if (volume?.status === 'error') {
    const object = `volume snapshot ${id} of ${cloud.label}`;
    throw new GodwitError('PLATFORM_ERROR', object, {
      reason: `its volume ${volume.id} is in error: have it put right, or delete the replica disks`,
    });
  }
  await orNull(cloud.volumes.deleteSnapshot(id));
  await gone(cloud, `volume snapshot ${id} of ${cloud.label}`, () => cloud.volumes.snapshot(id));
}
