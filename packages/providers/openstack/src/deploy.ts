import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { GodwitError, type InstanceInfo, type JsonObject } from '@godwit/domain';
import { checkInput, type DeployedInstance, type DeployRequest, type ProviderContext } from '@godwit/provider';
import { Type } from 'typebox';
import type { Volume } from './client/block-storage.ts';
import type { Cloud } from './client/cloud.ts';
import type { Server } from './client/compute.ts';
import { openCloud } from './connection.ts';
import { findSnapshot } from './disk-snapshot.ts';
import { describeInstance, findServer, GIB } from './inventory.ts';
import { deployedName, groupsFor, guestProperties, serverFor, takeFlavor } from './machine.ts';
import { checkKey, isMarked, marksOf, PREFIX, tagOf } from './mark.ts';
import { buildError } from './minion.ts';
import { artefactOf, destinationEnvironment, placeNics, typeOf } from './placement.ts';
import { removePorts, takePorts } from './ports.ts';
import { diskName, type FileReplica, ownVolume, replicaOf, replicaOfDisk, type VolumeReplica } from './replica.ts';
import { deleteVolume, imageReady } from './source-things.ts';
import { makeTestNetworks, removeTestNetworks } from './test-network.ts';
import { allOf, findOrCreate, gone, orNull, volumeReady, waitUntil } from './wait.ts';

/** Media type of the console's text, kept as evidence of the start. */
const CONSOLE_LOG = 'text/x-console-log';
const BUILD_S = 1_200;
/** Lines of the console that are kept. */
const EVIDENCE_LINES = 300;

const handleSchema = Type.Object({
  key: Type.String(),
  test: Type.Boolean(),
  /** Replica disks it was made from, with their handles. */
  replicas: Type.Array(Type.Object({ id: Type.String(), handle: Type.Record(Type.String(), Type.Unknown()) })),
  /** True when it takes the replica volumes themselves. */
  own: Type.Boolean(),
  /** In the order of attaching. */
  volumes: Type.Array(Type.String()),
  ports: Type.Array(Type.String()),
});

/**
 * See `TargetProvider.deployInstance`. A server cannot be made stopped, so everything but the server is made here: volumes,
 * networks, ports. `id` is our own until finalizeInstance has made the server.
 */
export async function deployInstance(ctx: ProviderContext, request: DeployRequest): Promise<DeployedInstance> {
  const cloud = openCloud(ctx);
  const key = checkKey(request.key);
  const id = PREFIX + key;
  const replicas = request.disks.map(replicaOfDisk);
  const own = !request.clone && !request.test && replicas.every(({ kind }) => kind === 'volume');
  const base = {
    key,
    test: request.test,
    own,
    replicas: request.disks.map((disk) => ({ id: disk.id, handle: disk.handle })),
  };
  const entry = await ctx.ledger.intend('instance', id, { ...base, volumes: [], ports: [] }, 'deployment');
  // First of all: a taken address refuses the deployment before gigabytes are moved.
  const ports = await makePorts(cloud, ctx, request);
  const volumes = await allOf(
    replicas.map((replica) => {
      if (replica.kind === 'file') return volumeOfFile(cloud, ctx, request, replica);
      return own ? ownVolume(cloud, replica) : cloneOf(cloud, ctx, request, replica);
    }),
  );
  const [root] = volumes;
  if (root === undefined) {
    throw new GodwitError('INVALID_INPUT', `instance ${request.instance.name}`, { reason: 'it has no disks' });
  }
  const properties = guestProperties(request.instance, destinationEnvironment(request));
  if (root.bootable !== true && root.bootable !== 'true') {
    await cloud.volumes.action(root.id, { 'os-set_bootable': { bootable: true } });
  }
  if (Object.keys(properties).length > 0) {
    await cloud.volumes.action(root.id, { 'os-set_image_metadata': { metadata: properties } });
  }
  const handle: JsonObject = { ...base, volumes: volumes.map((volume) => volume.id), ports };
  await ctx.ledger.made(entry, handle);
  return { id, name: deployedName(request), handle };
}

async function makePorts(cloud: Cloud, ctx: ProviderContext, request: DeployRequest): Promise<string[]> {
  const { instance, key } = request;
  const artefact = artefactOf(instance);
  const groups = await groupsFor(cloud, ctx, request);
  const environment = destinationEnvironment(request);
  if (request.test) {
    const networks = await makeTestNetworks(cloud, ctx, key, instance, artefact);
    const wanted = instance.devices.nics.flatMap((nic, index) => {
      const network = networks[index];
      return network === undefined ? [] : [{ nic, network, securityGroups: groups(nic.id) }];
    });
    // Nothing else is in there: MAC and addresses are always free.
    return (await takePorts(cloud, ctx, key, wanted, 'if_free', artefact)).map(({ id }) => id);
  }
  const placed = placeNics(instance, request, await cloud.network.networks());
  const wanted = placed.map(({ nic, network }) => ({ nic, network, securityGroups: groups(nic.id) }));
  return (await takePorts(cloud, ctx, key, wanted, environment.keep_addresses, artefact)).map(({ id }) => id);
}

async function clones(cloud: Cloud, key: string): Promise<Volume[]> {
  const found = await cloud.volumes.volumes({ metadata: JSON.stringify({ godwit_key: key }) });
  return found.filter(({ metadata }) => isMarked(metadata, key, 'clone'));
}

/** A volume of its own that equals the replica of now, whatever replication does next. */
async function cloneOf(
  cloud: Cloud,
  ctx: ProviderContext,
  request: DeployRequest,
  replica: VolumeReplica,
): Promise<Volume> {
  const source = await ownVolume(cloud, replica);
  const name = diskName(request.key, replica.id);
  const make = (from: { source_volid: string } | { snapshot_id: string }) =>
    findOrCreate(
      async () => (await clones(cloud, request.key)).find((one) => one.metadata?.godwit_disk === replica.id) ?? null,
      async () => {
        await volumeReady(cloud, source.id, 'available', replica.id);
        const marks = { godwit_transfer: request.transfer, godwit_disk: replica.id };
        return cloud.volumes.createVolume({
          name,
          size: source.size,
          ...from,
          metadata: marksOf(request.key, 'clone', marks),
        });
      },
    );
  const ready = async (made: Volume) =>
    made.status === 'in-use' ? made : volumeReady(cloud, made.id, 'available', name);
  const first = await make({ source_volid: source.id });
  try {
    return await ready(first);
  } catch (error) {
    // Cinder's NFS driver, since the fixes for CVE-2024-32498, clones no volume that has a snapshot; others give no
    // snapshot back that a volume was made from. So the volume first, then the deployment's snapshot of the same bytes.
    const snapshot = await findSnapshot(cloud, request.key, replica.volume);
    if (!(error instanceof GodwitError) || error.code !== 'PLATFORM_ERROR' || snapshot === null) throw error;
    ctx.progress(`Volume ${source.id} cannot be cloned here (${error.message}); its snapshot is`);
    await deleteVolume(cloud, first.id);
    return ready(await make({ snapshot_id: snapshot.id }));
  }
}

/** A volume made of a staged file, by way of an image that is removed again. */
async function volumeOfFile(
  cloud: Cloud,
  ctx: ProviderContext,
  request: DeployRequest,
  replica: FileReplica,
): Promise<Volume> {
  const name = diskName(request.key, replica.id);
  const look = async () =>
    (await clones(cloud, request.key)).find((one) => one.metadata?.godwit_disk === replica.id) ?? null;
  const known = await look();
  const disk = request.disks.find(({ id }) => id === replica.id);
  const size = Math.ceil((disk?.size ?? 0) / GIB);
  if (known === null) {
    const image = await uploaded(cloud, ctx, request.key, name, replica);
    const source = request.instance.devices.disks.find(({ id }) => id === replica.id);
    const type = source === undefined ? null : typeOf(source, request, destinationEnvironment(request));
    await findOrCreate(look, () =>
      cloud.volumes.createVolume({
        name,
        size,
        imageRef: image,
        metadata: marksOf(request.key, 'clone', { godwit_transfer: request.transfer, godwit_disk: replica.id }),
        ...(type === null ? {} : { volume_type: type }),
      }),
    );
  }
  const made = await look();
  if (made === null)
    throw new GodwitError('PLATFORM_ERROR', `volume ${name} of ${cloud.label}`, { reason: 'it vanished' });
  const volume = made.status === 'in-use' ? made : await volumeReady(cloud, made.id, 'available', name);
  await removeImages(cloud, request.key, name);
  return volume;
}

/** The image of a staged file, uploaded whole: a former one that was cut off is removed first. */
async function uploaded(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  name: string,
  replica: FileReplica,
): Promise<string> {
  const mine = (await cloud.images.images({ name })).filter((image) => isMarked(image, key));
  const active = mine.find(({ status }) => status === 'active');
  if (active !== undefined) return active.id;
  for (const image of mine) await orNull(cloud.images.deleteImage(image.id));
  const image = await cloud.images.createImage({
    name,
    disk_format: 'raw',
    container_format: 'bare',
    ...marksOf(key, 'staging'),
  });
  ctx.progress(`Uploading disk ${replica.id} to ${cloud.label}`);
  const bytes = createReadStream(replica.path, { highWaterMark: 1_048_576, signal: ctx.signal });
  try {
    await cloud.images.upload(image.id, bytes);
  } catch (error) {
    bytes.destroy();
    const gone = (await orNull(cloud.images.image(image.id))) === null;
    if (!gone) throw error;
    const reason = 'somebody deleted the image while it was uploaded';
    throw new GodwitError('BUSY', `image ${name} of ${cloud.label}`, { reason }, { cause: error });
  }
  await imageReady(cloud, image.id);
  return image.id;
}

async function removeImages(cloud: Cloud, key: string, name?: string): Promise<void> {
  for (const image of await cloud.images.images({ godwit_key: key })) {
    if (!isMarked(image, key, 'staging') || (name !== undefined && image.name !== name)) continue;
    await orNull(cloud.images.deleteImage(image.id));
  }
}

async function ownServer(cloud: Cloud, key: string): Promise<Server | null> {
  const servers = await cloud.compute.servers();
  return servers.find(({ metadata }) => isMarked(metadata, key, 'instance')) ?? null;
}

/** See `TargetProvider.finalizeInstance`. */
export async function finalizeInstance(
  ctx: ProviderContext,
  request: DeployRequest,
  deployed: DeployedInstance,
): Promise<InstanceInfo> {
  const cloud = openCloud(ctx);
  const { key, volumes, ports, own, replicas } = checkInput(handleSchema, deployed.handle, 'handle of an instance');
  const present = await ownServer(cloud, key);
  const server = present ?? (await createServer(cloud, ctx, request, volumes, ports, deployed));
  const active = await built(cloud, server);
  const floating = request.test ? undefined : destinationEnvironment(request).floating_network;
  if (floating !== undefined) await takeFloatingIp(cloud, ctx, key, ports[0], floating);
  const console = await evidence(cloud, active, request);
  if (!request.powerOn) await stop(cloud, active);
  if (!request.test) {
    // From here on it is the user's: neither a failure nor the end of the deployment's record takes it away.
    for (const { id, handle } of own ? replicas : []) {
      const replica = replicaOf(id, JSON.parse(JSON.stringify(handle)));
      if (replica.kind === 'volume') await cloud.volumes.addMetadata(replica.volume, { godwit_role: 'instance' });
    }
    await ctx.ledger.made(await ctx.ledger.intend('instance', PREFIX + key, deployed.handle, 'forever'));
  }
  const info = await describeInstance(cloud, await findServer(cloud, active.id));
  return console === '' ? info : { ...info, artefacts: { ...info.artefacts, [CONSOLE_LOG]: console } };
}

async function createServer(
  cloud: Cloud,
  ctx: ProviderContext,
  request: DeployRequest,
  volumes: string[],
  ports: string[],
  deployed: DeployedInstance,
): Promise<Server> {
  const flavor = await takeFlavor(cloud, ctx, request);
  if (flavor.created) {
    const entry = await ctx.ledger.intend('instance', deployed.id, deployed.handle, 'deployment');
    await ctx.ledger.made(entry, { ...deployed.handle, flavor: flavor.id });
  }
  const { server, group } = await serverFor(cloud, ctx, request, { volumes, ports, flavor: flavor.id });
  return findOrCreate(
    () => ownServer(cloud, request.key),
    async () => cloud.compute.server(await cloud.compute.createServer(server, group)),
  );
}

/** @throws GodwitError NO_CAPACITY, PLATFORM_ERROR */
function built(cloud: Cloud, server: Server): Promise<Server> {
  const object = `instance ${server.name} of ${cloud.label}`;
  return waitUntil(
    cloud.signal,
    { object, until: 'ACTIVE', seconds: BUILD_S },
    () => cloud.compute.server(server.id),
    (seen) => {
      if (seen.status === 'ERROR') throw buildError(object, seen);
      return seen.status !== 'BUILD';
    },
  );
}

async function takeFloatingIp(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  port: string | undefined,
  floatingNetwork: string,
): Promise<void> {
  if (port === undefined) return;
  const network = (await cloud.network.networks()).find(
    ({ id, name }) => id === floatingNetwork || name === floatingNetwork,
  );
  if (network === undefined) {
    throw new GodwitError('INVALID_INPUT', cloud.label, {
      reason: `floating network "${floatingNetwork}" does not exist`,
    });
  }
  const floating = await findOrCreate(
    async () => (await cloud.network.floatingIps({ port_id: port }))[0] ?? null,
    async () => {
      const made = await cloud.network.createFloatingIp(network.id, port, `Godwit deployment (${tagOf(key)})`);
      await cloud.network.setTags('floatingips', made.id, [tagOf(key)]);
      return made;
    },
  );
  ctx.progress(`Floating IP ${floating.floating_ip_address}`);
}

/** What the console says within the asked seconds; '' where the cloud shows none. Never fails a deployment. */
async function evidence(cloud: Cloud, server: Server, request: DeployRequest): Promise<string> {
  const seconds = request.powerOn ? (destinationEnvironment(request).boot_seconds ?? 20) : 0;
  await sleep(seconds * 1000, undefined, { signal: cloud.signal }).catch((cause: unknown) => {
    throw new GodwitError('CANCELED', `instance ${server.name} of ${cloud.label}`, {}, { cause });
  });
  try {
    return await cloud.compute.consoleLog(server.id, EVIDENCE_LINES);
  } catch (error) {
    if (error instanceof GodwitError && error.code !== 'CANCELED') return '';
    throw error;
  }
}

async function stop(cloud: Cloud, server: Server): Promise<void> {
  const now = await cloud.compute.server(server.id);
  if (now.status !== 'SHUTOFF') await cloud.compute.action(server.id, { 'os-stop': null });
  await waitUntil(
    cloud.signal,
    { object: `instance ${server.name} of ${cloud.label}`, until: 'SHUTOFF', seconds: 300 },
    () => cloud.compute.server(server.id),
    ({ status }) => status === 'SHUTOFF',
  );
}

/** See `TargetProvider.removeInstance`. Replica disks that it took stay replica disks. */
export async function removeInstance(ctx: ProviderContext, deployed: DeployedInstance): Promise<void> {
  await removeDeployed(openCloud(ctx), ctx, deployed.handle);
}

/** Removes what a handle of an instance names, as far as it carries our mark. */
export async function removeDeployed(cloud: Cloud, ctx: ProviderContext, handle: JsonObject): Promise<void> {
  const { key, own, replicas } = checkInput(handleSchema, handle, 'handle of an instance');
  checkKey(key);
  const server = await ownServer(cloud, key);
  if (server !== null) {
    await orNull(cloud.compute.deleteServer(server.id));
    await gone(cloud, `instance ${server.name} of ${cloud.label}`, () => cloud.compute.server(server.id));
  }
  await removePorts(cloud, key);
  await removeTestNetworks(cloud, key);
  await ctx.ledger.removed('network', PREFIX + key);
  await Promise.all((await clones(cloud, key)).map((volume) => deleteVolume(cloud, volume.id)));
  await removeImages(cloud, key);
  for (const { id, handle: of } of own ? replicas : []) {
    const replica = replicaOf(id, JSON.parse(JSON.stringify(of)));
    if (replica.kind !== 'volume' || (await orNull(ownVolume(cloud, replica))) === null) continue;
    await cloud.volumes.addMetadata(replica.volume, { godwit_role: 'replica' });
  }
  if (typeof handle.flavor === 'string') await orNull(cloud.compute.deleteFlavor(handle.flavor));
  await ctx.ledger.removed('instance', PREFIX + key);
}
