import { GodwitError } from '@godwit/domain';
import type { Volume } from './client/block-storage.ts';
import type { Cloud } from './client/cloud.ts';
import { GIB } from './inventory.ts';
import type { Minion } from './minion.ts';
import { orNull, volumeReady, waitUntil } from './wait.ts';

const ATTACH_S = 600;

/** Attaches what is not attached yet; a volume that hangs on another minion of ours is taken from it. */
export async function attachVolumes(cloud: Cloud, minion: Minion, volumeIds: readonly string[]): Promise<void> {
  for (const id of volumeIds) {
    const volume = await settled(cloud, id);
    const holder = volume.attachments?.[0]?.server_id;
    if (holder === minion.server.id) continue;
    if (holder !== undefined) await takeFrom(cloud, id, holder);
    await volumeReady(cloud, id);
    await cloud.compute.attach(minion.server.id, id);
  }
  for (const id of volumeIds) await attached(cloud, id);
}

/** Looks at a free volume before the attaching counts as refused: Nova reserves it before it answers. */
const FREE_LOOKS = 3;

/** @throws GodwitError PLATFORM_ERROR: the cloud gave up; DISK_GREW: it does so with a volume that was extended */
async function attached(cloud: Cloud, id: string): Promise<void> {
  const object = `volume ${id} of ${cloud.label}`;
  let free = 0;
  await waitUntil(
    cloud.signal,
    { object, until: 'in use', seconds: ATTACH_S },
    () => cloud.volumes.volume(id),
    ({ status, size, metadata }) => {
      if (status.startsWith('error')) {
        throw new GodwitError('PLATFORM_ERROR', object, { reason: `its status is ${status}` });
      }
      free = status === 'available' ? free + 1 : 0;
      if (free < FREE_LOOKS) return status === 'in-use';
      const was = Number(metadata?.godwit_grown_from);
      if (was > 0) throw new GodwitError('DISK_GREW', object, { was: was * GIB, is: size * GIB });
      throw new GodwitError('PLATFORM_ERROR', object, { reason: 'the cloud does not attach it to the minion' });
    },
  );
}

/** The volume when nobody is about to attach or to detach it: a worker that died may have begun to. */
function settled(cloud: Cloud, id: string): Promise<Volume> {
  const object = `volume ${id} of ${cloud.label}`;
  return waitUntil(
    cloud.signal,
    { object, until: 'available or in use', seconds: 600 },
    () => cloud.volumes.volume(id),
    ({ status }) => {
      if (status.startsWith('error')) {
        throw new GodwitError('PLATFORM_ERROR', object, { reason: `its status is ${status}` });
      }
      return status === 'available' || status === 'in-use';
    },
  );
}

async function takeFrom(cloud: Cloud, volumeId: string, serverId: string): Promise<void> {
  const holder = await orNull(cloud.compute.server(serverId));
  if (holder !== null && holder.metadata?.godwit_role !== 'minion') {
    throw new GodwitError('CONFLICT', `volume ${volumeId} of ${cloud.label}`, {
      reason: `it is attached to instance ${holder.name}`,
    });
  }
  if (holder !== null) await cloud.compute.detach(serverId, volumeId);
}

/** Takes a volume from the minions that it hangs on: machines of pools stay when their user dies. */
export async function takeFromMinions(cloud: Cloud, volumeId: string): Promise<void> {
  const volume = await orNull(cloud.volumes.volume(volumeId));
  if (volume?.status !== 'in-use') return;
  for (const { server_id: holder } of volume.attachments ?? []) {
    const server = holder === undefined ? null : await orNull(cloud.compute.server(holder));
    if (server?.metadata?.godwit_role === 'minion') await detachVolumes(cloud, server.id, [volumeId]);
  }
}

/** Detaches; gone already is success. */
export async function detachVolumes(cloud: Cloud, serverId: string, volumeIds: readonly string[]): Promise<void> {
  const attached = await orNull(cloud.compute.attachments(serverId));
  const ours = (attached ?? []).map(({ volumeId }) => volumeId).filter((id) => volumeIds.includes(id));
  for (const id of ours) await orNull(cloud.compute.detach(serverId, id));
  for (const id of volumeIds) {
    const object = `volume ${id} of ${cloud.label}`;
    await waitUntil(
      cloud.signal,
      { object, until: 'detached', seconds: 300 },
      () => orNull(cloud.volumes.volume(id)),
      (volume) => {
        if (volume?.status.startsWith('error')) {
          throw new GodwitError('PLATFORM_ERROR', object, { reason: `its status is ${volume.status}` });
        }
        return volume === null || !(volume.attachments ?? []).some((attachment) => attachment.server_id === serverId);
      },
    );
  }
}
