import { GodwitError, type JsonObject } from '@godwit/domain';
import {
  checkInput,
  type OpenDisks,
  type ProviderContext,
  type Snapshot,
  type SnapshotRequest,
  type SourceProvider,
} from '@godwit/provider';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Cloud } from './client/cloud.ts';
import { openCloud } from './connection.ts';
import { type SourceEnvironment, sourceEnvironmentSchema } from './environment.ts';
import { type FreezeWay, type Frozen, freeze, unpause, wayOf } from './freeze.ts';
import { openImages } from './image-path.ts';
import { type FoundServer, findServer, GIB, isRunning } from './inventory.ts';
import { checkKey, PREFIX } from './mark.ts';
import { openMinion, whyNoMinion } from './minion.ts';
import { pooledMinion } from './pool-machine.ts';
import { serveVolumes } from './serve.ts';
import { frozenImages, frozenVolumes, removeSource, sourceVolumes, thawedVolume } from './source-things.ts';
import { allOf, orNull, waitUntil } from './wait.ts';

const frozenSchema = Type.Union([
  Type.Object({
    kind: Type.Literal('volume'),
    snapshot: Type.String(),
    type: Type.Union([Type.String(), Type.Null()]),
    gib: Type.Integer(),
  }),
  Type.Object({ kind: Type.Literal('image'), image: Type.String(), gib: Type.Integer() }),
]);

const handleSchema = Type.Object({
  server: Type.String(),
  path: Type.Union([Type.Literal('minion'), Type.Literal('glance')]),
  disks: Type.Record(Type.String(), frozenSchema),
  environment: Type.Record(Type.String(), Type.Unknown()),
});

const momentSchema = Type.Object({
  from: Type.Number(),
  to: Type.Number(),
  consistency: Type.Union([Type.Literal('crash'), Type.Literal('filesystem'), Type.Literal('stopped')]),
});

/** Instances of an OpenStack cloud, frozen by snapshots, read through a minion or through Glance. */
export const source: SourceProvider = {
  environmentSchema: sourceEnvironmentSchema,
  validate,
  snapshot,
  open,
  check,
  release,
  // Nothing tracks changes here.
  dropToken: async () => undefined,
  shutdown,
  powerOn,
};

async function validate(ctx: ProviderContext, instance: string, given: JsonObject): Promise<void> {
  const environment = checkInput(sourceEnvironmentSchema, given, 'source_environment');
  const cloud = openCloud(ctx);
  const found = await findServer(cloud, instance);
  refuseUnreadable(cloud, found, environment);
  await wayOf(cloud, found, environment);
  await choosePath(cloud, environment, ctx.pool !== undefined);
  const { volumes } = found;
  const limits = await cloud.volumes.limits();
  const size = volumes.reduce((sum, volume) => sum + volume.size, 0);
  const root = found.ephemeralRoot ? 1 : 0;
  requireQuota(cloud, 'volumes', limits.maxTotalVolumes, limits.totalVolumesUsed, volumes.length + root);
  requireQuota(cloud, 'snapshots', limits.maxTotalSnapshots, limits.totalSnapshotsUsed, volumes.length);
  // Snapshots count as well in most clouds.
  requireQuota(cloud, 'GiB of volumes', limits.maxTotalVolumeGigabytes, limits.totalGigabytesUsed, 2 * size);
}

/** @throws GodwitError QUOTA_EXCEEDED */
export function requireQuota(cloud: Cloud, what: string, max: number, used: number, needed: number): void {
  if (max < 0 || used + needed <= max) return;
  throw new GodwitError('QUOTA_EXCEEDED', `${needed} ${what} of ${cloud.label}`, {
    reason: `${used} of ${max} are used`,
  });
}

function refuseUnreadable(cloud: Cloud, found: FoundServer, environment: SourceEnvironment): void {
  const { server, volumes } = found;
  const object = `instance ${server.name} of ${cloud.label}`;
  if (['ERROR', 'BUILD', 'DELETED', 'SHELVED_OFFLOADED', 'SHELVED', 'RESCUE'].includes(server.status)) {
    throw new GodwitError('CONFLICT', object, { reason: `its status is ${server.status}` });
  }
  if (volumes.length === 0 && !found.ephemeralRoot) {
    throw new GodwitError('UNSUPPORTED', object, { what: 'moving it: it has no disk' });
  }
  if ((server.flavor.ephemeral ?? 0) > 0 && environment.ephemeral_disks !== 'empty') {
    throw new GodwitError('UNSUPPORTED', object, {
      what: 'moving its ephemeral disk: no API reads it (source_environment/ephemeral_disks "empty" leaves it out)',
    });
  }
  for (const volume of volumes) {
    if (volume.multiattach && (volume.attachments?.length ?? 0) > 1) {
      throw new GodwitError('UNSUPPORTED', `volume ${volume.id} of ${cloud.label}`, {
        what: 'moving it: other instances use it too',
      });
    }
  }
}

/** @throws GodwitError INVALID_INPUT: a minion is asked for and cannot be made */
async function choosePath(
  cloud: Cloud,
  environment: SourceEnvironment,
  pooled: boolean,
): Promise<{ path: 'minion' | 'glance'; because: string }> {
  const asked = environment.data_path ?? 'auto';
  if (asked === 'glance') return { path: 'glance', because: 'as asked' };
  if (pooled) return { path: 'minion', because: 'through a machine of a pool' };
  const missing = await whyNoMinion(cloud, environment);
  if (missing === null)
    return { path: 'minion', because: asked === 'minion' ? 'as asked' : 'it moves only what differs' };
  if (asked === 'minion') throw new GodwitError('INVALID_INPUT', cloud.label, { reason: missing });
  return { path: 'glance', because: missing };
}

async function snapshot(ctx: ProviderContext, request: SnapshotRequest): Promise<Snapshot> {
  const environment = checkInput(sourceEnvironmentSchema, request.environment, 'source_environment');
  const cloud = openCloud(ctx);
  const key = checkKey(request.key);
  const found = await findServer(cloud, request.instance);
  refuseUnreadable(cloud, found, environment);
  const { path, because } = await choosePath(cloud, environment, ctx.pool !== undefined);
  const before = await isFrozen(cloud, key, found);
  if (request.resume && !before)
    throw new GodwitError('SNAPSHOT_LOST', `instance ${found.server.name} of ${cloud.label}`);
  const name = `${PREFIX}${key}`;
  const entry = await ctx.ledger.intend('snapshot', name, { server: found.server.id, key, paused: false });
  const way: FreezeWay = before ? 'together' : await wayOf(cloud, found, environment);
  const { disks, ...now } = await freeze(cloud, ctx, key, found, way, entry, environment.quiesce === 'always');
  // The same moment for the same key, also for a worker that finds it frozen.
  const moment = before && Value.Check(momentSchema, entry.handle.moment) ? entry.handle.moment : now;
  const frozen: Frozen = { disks, ...moment };
  await ctx.ledger.made(entry, { server: found.server.id, key, paused: false, moment: { ...moment } });
  ctx.progress(sayFrozen(found, frozen, way, path, because));
  return {
    key,
    instance: request.instance,
    takenAt: new Date(frozen.from).toISOString(),
    consistency: frozen.consistency,
    disks: Object.entries(frozen.disks).map(([id, disk]) => ({
      id,
      size: disk.gib * GIB,
      token: null,
      changes: 'unknown',
      reason: 'OpenStack tracks no changes',
    })),
    handle: {
      server: found.server.id,
      path,
      disks: frozen.disks,
      environment: JSON.parse(JSON.stringify(environment)),
      window_ms: frozen.to - frozen.from,
    },
  };
}

function sayFrozen(found: FoundServer, frozen: Frozen, way: FreezeWay, path: string, because: string): string {
  const count = Object.keys(frozen.disks).length;
  const spread = frozen.to - frozen.from;
  const moment =
    count > 1 && way === 'together' && isRunning(found.server)
      ? `within ${(spread / 1000).toFixed(1)} s of each other`
      : 'at one moment';
  return `Froze ${count} disk(s) of ${found.server.name} ${moment}; the bytes go by ${path} (${because})`;
}

/** True when all disks are frozen under the key already. */
async function isFrozen(cloud: Cloud, key: string, found: FoundServer): Promise<boolean> {
  const snapshots = await frozenVolumes(cloud, key);
  const complete = found.volumes.every(({ id }) => snapshots.has(id));
  if (!complete || !found.ephemeralRoot) return complete;
  return (await frozenImages(cloud, key)).some(({ name }) => name === `${PREFIX}${key}`);
}

async function open(ctx: ProviderContext, taken: Snapshot): Promise<OpenDisks> {
  const cloud = openCloud(ctx);
  const handle = checkInput(handleSchema, taken.handle, 'handle of a snapshot');
  const environment = checkInput(sourceEnvironmentSchema, handle.environment, 'source_environment');
  await requireSnapshots(cloud, taken);
  if (handle.path === 'glance') return openImages(cloud, ctx, taken.key, handle.disks);
  const making = Promise.allSettled(
    Object.entries(handle.disks).map(async ([id, frozen]) => {
      const volume = await thawedVolume(cloud, taken.key, id, frozen);
      return { id, volume: volume.id };
    }),
  );
  const minion = pooledMinion(cloud, ctx) ?? openMinion(cloud, ctx, taken.key, environment);
  const [made, machine] = await allOf([making, minion]);
  const volumes = made.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value;
  });
  return serveVolumes(cloud, ctx, machine, volumes, true);
}

/** @throws GodwitError SNAPSHOT_LOST */
async function requireSnapshots(cloud: Cloud, taken: Snapshot): Promise<void> {
  const { disks } = checkInput(handleSchema, taken.handle, 'handle of a snapshot');
  for (const frozen of Object.values(disks)) {
    const found =
      frozen.kind === 'volume'
        ? await orNull(cloud.volumes.snapshot(frozen.snapshot))
        : await orNull(cloud.images.image(frozen.image));
    if (found === null || /^(error|deleting|deleted|killed|pending_delete)/.test(found.status)) {
      throw new GodwitError('SNAPSHOT_LOST', `instance ${taken.instance}`);
    }
  }
}

/** The bytes are read from volumes of our own: while these are there, nobody has changed them. */
async function check(ctx: ProviderContext, taken: Snapshot): Promise<void> {
  const cloud = openCloud(ctx);
  const { path, disks } = checkInput(handleSchema, taken.handle, 'handle of a snapshot');
  if (path === 'glance') return;
  const present = await sourceVolumes(cloud, taken.key);
  const missing = Object.keys(disks).some(
    (disk) => !present.some((volume) => volume.metadata?.godwit_disk === disk && !volume.status.startsWith('error')),
  );
  if (missing) throw new GodwitError('SNAPSHOT_LOST', `instance ${taken.instance}`);
}

async function release(ctx: ProviderContext, taken: Snapshot): Promise<void> {
  const cloud = openCloud(ctx);
  await removeSource(cloud, ctx, checkKey(taken.key));
  await ctx.ledger.removed('snapshot', `${PREFIX}${taken.key}`);
}

/** Removes what the ledger says of a snapshot; an instance that a dead worker left paused goes on. */
export async function removeSnapshot(ctx: ProviderContext, handle: JsonObject): Promise<void> {
  const cloud = openCloud(ctx);
  const key = checkKey(String(handle.key ?? ''));
  if (handle.paused === true && typeof handle.server === 'string') await orNull(unpause(cloud, handle.server));
  await removeSource(cloud, ctx, key);
}

async function shutdown(ctx: ProviderContext, instance: string, graceSeconds = 60): Promise<void> {
  const cloud = openCloud(ctx);
  const { server } = await findServer(cloud, instance);
  if (!isRunning(server)) return;
  await idle(cloud, server.id);
  // Nova asks the guest first and pulls the plug after its own grace, 60 s in most clouds.
  await cloud.compute.action(server.id, { 'os-stop': null });
  await waitUntil(
    cloud.signal,
    { object: `instance ${server.name} of ${cloud.label}`, until: 'SHUTOFF', seconds: graceSeconds + 300 },
    () => cloud.compute.server(server.id),
    ({ status }) => status === 'SHUTOFF',
  );
}

async function powerOn(ctx: ProviderContext, instance: string): Promise<void> {
  const cloud = openCloud(ctx);
  const { server } = await findServer(cloud, instance);
  if (isRunning(server)) return;
  await idle(cloud, server.id);
  await cloud.compute.action(server.id, { 'os-start': null });
  await waitUntil(
    cloud.signal,
    { object: `instance ${server.name} of ${cloud.label}`, until: 'ACTIVE', seconds: 300 },
    () => cloud.compute.server(server.id),
    ({ status }) => status === 'ACTIVE',
  );
}

/** Nova refuses to stop or start while another task of the server goes on, such as the upload of a snapshot. */
async function idle(cloud: Cloud, id: string): Promise<void> {
  await waitUntil(
    cloud.signal,
    { object: `instance ${id} of ${cloud.label}`, until: 'idle', seconds: 1_800 },
    () => cloud.compute.server(id),
    (server) => (server['OS-EXT-STS:task_state'] ?? null) === null,
  );
}
