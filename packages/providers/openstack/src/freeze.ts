import { GodwitError } from '@godwit/domain';
import type { LedgerEntry, ProviderContext, Snapshot } from '@godwit/provider';
import type { Cloud } from './client/cloud.ts';
import type { SourceEnvironment } from './environment.ts';
import { type FoundServer, GIB, isRunning, ROOT_DISK } from './inventory.ts';
import { marksOf, PREFIX } from './mark.ts';
import {
  type FrozenDisk,
  freezeRoot,
  freezeVolume,
  frozenVolumes,
  novaSnapshots,
  removeFrozen,
} from './source-things.ts';
import { snapshotReady, waitUntil } from './wait.ts';

/** All disks of an instance, frozen. */
export interface Frozen {
  disks: Record<string, FrozenDisk>;
  /** Milliseconds since 1970: the first and the last moment that any disk may be of. */
  from: number;
  to: number;
  consistency: Snapshot['consistency'];
}

/** How the disks of an instance can be frozen, best first. */
export type FreezeWay = 'stopped' | 'nova' | 'group' | 'pause' | 'together';

/** Chooses the way; pure but for the question about groups. */
export async function wayOf(cloud: Cloud, found: FoundServer, environment: SourceEnvironment): Promise<FreezeWay> {
  if (!isRunning(found.server)) return 'stopped';
  const quiesce = environment.quiesce ?? 'auto';
  if (quiesce !== 'never' && canQuiesce(found)) return 'nova';
  if (quiesce === 'always') {
    throw new GodwitError('CONFLICT', `instance ${found.server.name} of ${cloud.label}`, {
      reason:
        'its file systems cannot be frozen: that needs an instance booted from a volume whose image has hw_qemu_guest_agent and os_require_quiesce',
    });
  }
  const disks = found.volumes.length + (found.ephemeralRoot ? 1 : 0);
  if (disks > 1 && !found.ephemeralRoot && (await isOneGroup(cloud, found))) return 'group';
  return disks > 1 && environment.multi_disk === 'pause' ? 'pause' : 'together';
}

/** Nova freezes the guest around snapshots of a volume-booted instance, and fails when it cannot: only then is it sure. */
function canQuiesce(found: FoundServer): boolean {
  const properties = found.volumes[0]?.volume_image_metadata ?? {};
  const on = (name: string) => /^(yes|true|1)$/i.test(properties[name] ?? '');
  return !found.ephemeralRoot && on('hw_qemu_guest_agent') && on('os_require_quiesce');
}

async function isOneGroup(cloud: Cloud, found: FoundServer): Promise<boolean> {
  const groups = new Set(found.volumes.map(({ group_id }) => group_id ?? null));
  const [group] = groups;
  if (groups.size !== 1 || group === null || group === undefined) return false;
  try {
    return await cloud.volumes.isConsistentGroup(group);
  } catch (error) {
    if (error instanceof GodwitError && (error.code === 'FORBIDDEN' || error.code === 'NOT_FOUND')) return false;
    throw error;
  }
}

/**
 * Freezes all disks under a key. What is frozen under it already is kept.
 *
 * @param strict refuse where the guest's file systems cannot be frozen after all
 */
export async function freeze(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  found: FoundServer,
  way: FreezeWay,
  entry: LedgerEntry,
  strict: boolean,
): Promise<Frozen> {
  switch (way) {
    case 'nova':
      return frozenByNova(cloud, key, found).catch(async (error: unknown) => {
        if (strict || !(error instanceof GodwitError) || error.code !== 'PLATFORM_ERROR') throw error;
        // The agent does not answer, or the back end has the hypervisor snapshot, which freezes again and is refused.
        ctx.progress(`The file systems of ${found.server.name} cannot be frozen (${error.message}); its disks are`);
        await removeFrozen(cloud, key);
        return frozenTogether(cloud, key, found, 'crash');
      });
    case 'group':
      return frozenAsGroup(cloud, key, found);
    case 'pause':
      return whilePaused(cloud, ctx, found, entry, () => frozenTogether(cloud, key, found, 'crash'));
    default:
      return frozenTogether(cloud, key, found, way === 'stopped' ? 'stopped' : 'crash');
  }
}

async function frozenTogether(
  cloud: Cloud,
  key: string,
  found: FoundServer,
  consistency: Snapshot['consistency'],
): Promise<Frozen> {
  const from = Date.now();
  const ends = await Promise.allSettled(found.volumes.map((volume) => freezeVolume(cloud, key, volume)));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  // Not beside the volumes: back ends that snapshot through the hypervisor are refused while the server has a task.
  const root = found.ephemeralRoot ? await freezeRoot(cloud, key, found.server.id) : null;
  const to = Date.now();
  return { disks: { ...rootOf(found, root), ...(await disksOf(cloud, key, found)) }, from, to, consistency };
}

function rootOf(found: FoundServer, image: string | null): Record<string, FrozenDisk> {
  if (image === null) return {};
  const bytes = found.image?.virtual_size ?? found.image?.size ?? 0;
  const gib = found.server.flavor.disk > 0 ? found.server.flavor.disk : Math.max(1, Math.ceil(bytes / GIB));
  return { [ROOT_DISK]: { kind: 'image', image, gib } };
}

async function disksOf(cloud: Cloud, key: string, found: FoundServer): Promise<Record<string, FrozenDisk>> {
  const snapshots = await frozenVolumes(cloud, key);
  const disks: Record<string, FrozenDisk> = {};
  for (const volume of found.volumes) {
    const snapshot = snapshots.get(volume.id);
    if (snapshot === undefined)
      throw new GodwitError('SNAPSHOT_LOST', `instance ${found.server.name} of ${cloud.label}`);
    disks[volume.id] = { kind: 'volume', snapshot: snapshot.id, type: volume.volume_type ?? null, gib: snapshot.size };
  }
  return disks;
}

/** Stops the clock of the instance while its disks are frozen; a worker that dies meanwhile leaves word in the ledger. */
async function whilePaused(
  cloud: Cloud,
  ctx: ProviderContext,
  found: FoundServer,
  entry: LedgerEntry,
  work: () => Promise<Frozen>,
): Promise<Frozen> {
  const { server } = found;
  const ours = entry.handle.paused === true;
  if (server.status === 'PAUSED' && !ours) return work();
  await ctx.ledger.made(entry, { ...entry.handle, paused: true });
  try {
    if (server.status !== 'PAUSED') await cloud.compute.action(server.id, { pause: null });
    await statusIs(cloud, server.id, 'PAUSED');
    const frozen = await work();
    return { ...frozen, to: frozen.from };
  } finally {
    await unpause(cloud, server.id);
    await ctx.ledger.made(entry, { ...entry.handle, paused: false });
  }
}

/** Lets a paused instance run again. Running already is success. */
export async function unpause(cloud: Cloud, serverId: string): Promise<void> {
  const server = await cloud.compute.server(serverId);
  if (server.status !== 'PAUSED') return;
  await cloud.compute.action(serverId, { unpause: null });
  await statusIs(cloud, serverId, 'ACTIVE');
}

async function statusIs(cloud: Cloud, id: string, status: string): Promise<void> {
  const object = `instance ${id} of ${cloud.label}`;
  await waitUntil(
    cloud.signal,
    { object, until: status, seconds: 120, everyMs: 500 },
    () => cloud.compute.server(id),
    (server) => server.status === status,
  );
}

async function frozenAsGroup(cloud: Cloud, key: string, found: FoundServer): Promise<Frozen> {
  const from = Date.now();
  const name = `${PREFIX}${key}`;
  const [known] = await cloud.volumes.groupSnapshots({ name });
  const id = known?.id ?? (await cloud.volumes.createGroupSnapshot(found.volumes[0]?.group_id ?? '', name));
  for (const volume of found.volumes) {
    const snapshots = await cloud.volumes.snapshots({ volume_id: volume.id });
    const mine = snapshots.find((snapshot) => snapshot.group_snapshot_id === id);
    if (mine === undefined)
      throw new GodwitError('PLATFORM_ERROR', name, { reason: `it holds no snapshot of volume ${volume.id}` });
    await snapshotReady(cloud, mine.id);
    await cloud.volumes.addSnapshotMetadata(mine.id, marksOf(key, 'source'));
  }
  return { disks: await disksOf(cloud, key, found), from, to: from, consistency: 'crash' };
}

async function frozenByNova(cloud: Cloud, key: string, found: FoundServer): Promise<Frozen> {
  const from = Date.now();
  await freezeRoot(cloud, key, found.server.id);
  for (const { id } of await novaSnapshots(cloud, key)) {
    await snapshotReady(cloud, id);
    await cloud.volumes.addSnapshotMetadata(id, marksOf(key, 'source'));
  }
  return { disks: await disksOf(cloud, key, found), from, to: from, consistency: 'filesystem' };
}
