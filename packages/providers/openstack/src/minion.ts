import { GodwitError, type JsonObject } from '@godwit/domain';
import type { LedgerEntry, ProviderContext } from '@godwit/provider';
import type { Cloud } from './client/cloud.ts';
import type { Flavor, Server } from './client/compute.ts';
import type { Port } from './client/network.ts';
import { credentialsOf } from './connection.ts';
import type { MinionEnvironment } from './environment.ts';
import { hostKeyScript, hostKeysIn, packHostKeys, unpackHostKeys } from './host-key.ts';
import { isMarked, marksOf, PREFIX, tagOf } from './mark.ts';
import { takeGroup } from './minion-group.ts';
import { minionKey } from './minion-key.ts';
import { findOrCreate, gone, makeReady, orNull, waitUntil } from './wait.ts';

/** Memory that the agent and a small Linux need, MiB. */
const LEAST_MEMORY = 256;
const BOOT_S = 600;
/** A console that says nothing for so long after the boot says nothing at all. */
const HOST_KEY_S = 300;
/** Lines of the console that are searched for host keys. */
const CONSOLE_LINES = 2_000;

/** A machine in the cloud that volumes are attached to; see docs/design/openstack.md. */
export interface Minion {
  server: Server;
  /** Address that the worker reaches it by. */
  host: string;
  user: string;
  /** PKCS #8 in PEM. */
  privateKey: string;
  /** The only host keys to believe; empty: the first one. */
  hostKeys: string[];
}

/** What it is made from, looked up. */
interface Parts {
  image: string;
  flavor: string;
  network: string;
  floatingNetwork: string | null;
}

export function minionName(key: string): string {
  return `${PREFIX}m-${key}`;
}

/**
 * What is missing for a minion, or null when it can be made: for the choice of the way and for early refusals.
 *
 * @throws GodwitError when the cloud does not answer
 */
export async function whyNoMinion(cloud: Cloud, environment: MinionEnvironment): Promise<string | null> {
  try {
    await partsOf(cloud, environment);
    return null;
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'INVALID_INPUT') return String(error.details.reason);
    throw error;
  }
}

/** @throws GodwitError INVALID_INPUT: what is named does not exist, or nothing is named and there is no single choice */
async function partsOf(cloud: Cloud, environment: MinionEnvironment): Promise<Parts> {
  const refuse = (reason: string) => new GodwitError('INVALID_INPUT', cloud.label, { reason });
  const { minion_image: imageName, minion_flavor: flavorName, minion_network: networkName } = environment;
  if (imageName === undefined) throw refuse('minion_image is not given');
  const [images, flavors, networks] = await Promise.all([
    cloud.images.images(),
    cloud.compute.flavors(),
    cloud.network.networks(),
  ]);
  const image = images.find(({ id, name }) => id === imageName || name === imageName);
  if (image === undefined) throw refuse(`the image "${imageName}" for the minion does not exist`);
  const flavor =
    flavorName === undefined
      ? smallest(flavors, image)
      : flavors.find(({ id, name }) => id === flavorName || name === flavorName);
  if (flavor === undefined) {
    throw refuse(
      flavorName === undefined
        ? `no flavor has ${LEAST_MEMORY} MiB of memory for the minion`
        : `the flavor "${flavorName}" for the minion does not exist`,
    );
  }
  const inner = networks.filter((network) => network['router:external'] !== true && network.subnets.length > 0);
  const network =
    networkName === undefined
      ? inner.length === 1
        ? inner[0]
        : undefined
      : networks.find(({ id, name }) => id === networkName || name === networkName);
  if (network === undefined) {
    throw refuse(
      networkName === undefined
        ? `minion_network is not given, and there are ${inner.length} networks to choose from`
        : `the network "${networkName}" for the minion does not exist`,
    );
  }
  const floatingName = environment.minion_floating_network;
  const floating = networks.find(({ id, name }) => id === floatingName || name === floatingName);
  if (floatingName !== undefined && floating === undefined) {
    throw refuse(`the floating network "${floatingName}" for the minion does not exist`);
  }
  return { image: image.id, flavor: flavor.id, network: network.id, floatingNetwork: floating?.id ?? null };
}

function smallest(flavors: Flavor[], image: { min_ram?: number; min_disk?: number }): Flavor | undefined {
  return flavors
    .filter(
      ({ ram, disk }) => ram >= Math.max(LEAST_MEMORY, image.min_ram ?? 0) && disk >= Math.max(1, image.min_disk ?? 0),
    )
    .sort((a, b) => a.ram - b.ram || a.vcpus - b.vcpus || a.disk - b.disk)[0];
}

/** Ledger entry of a minion, announced before anything of it is made. */
export function announceMinion(ctx: ProviderContext, key: string): Promise<LedgerEntry> {
  const handle: JsonObject = { minion: minionName(key), key };
  return ctx.ledger.intend('export', minionName(key), handle);
}

/**
 * The minion of that key, running and reachable as far as the cloud tells; made when there is none.
 *
 * @param sharedGroup security group of its pool; absent: one of its own
 * @throws GodwitError BUSY: parts of it vanished meanwhile, such as those of an earlier execution that are being removed
 */
export async function openMinion(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  environment: MinionEnvironment,
  sharedGroup?: string,
): Promise<Minion> {
  try {
    return await takeMinion(cloud, ctx, key, environment, sharedGroup);
  } catch (error) {
    if (!(error instanceof GodwitError) || !isVanished(error)) throw error;
    const reason = `parts of it vanished (${error.message})`;
    throw new GodwitError('BUSY', `minion ${minionName(key)} of ${cloud.label}`, { reason }, { cause: error });
  }
}

/** Neutron and Nova name a lost port, group or key in a 404, a 409 or a 400. */
function isVanished(error: GodwitError): boolean {
  if (error.code === 'NOT_FOUND') return true;
  const { status } = error.details;
  return (status === 400 || status === 409) && /\bport\b|key_name|security.?group/i.test(String(error.details.reason));
}

async function takeMinion(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  environment: MinionEnvironment,
  sharedGroup: string | undefined,
): Promise<Minion> {
  const name = minionName(key);
  const entry = await announceMinion(ctx, key);
  const credentials = credentialsOf(ctx);
  const sshKey = minionKey(credentials, name);
  const parts = await partsOf(cloud, environment);
  await takeKeypair(cloud, key, sshKey.publicKey);
  const group = sharedGroup ?? (await takeGroup(cloud, name, key, environment.minion_allowed_cidr));
  const port = await takePort(cloud, key, parts.network, group);
  const host = await takeAddress(cloud, key, port, parts.floatingNetwork);
  const found = await findMinion(cloud, key);
  const going = found?.['OS-EXT-STS:task_state'] === 'deleting' || found?.status === 'DELETED';
  if (found !== null && (going || found.status === 'ERROR')) await deleteServer(cloud, found);
  const create = async (): Promise<Server> => {
    ctx.progress(`Making minion ${name} in ${cloud.label}`);
    const id = await cloud.compute.createServer({
      name,
      flavorRef: parts.flavor,
      imageRef: parts.image,
      networks: [{ port: port.id }],
      key_name: name,
      user_data: Buffer.from(hostKeyScript).toString('base64'),
      metadata: marksOf(key, 'minion'),
      config_drive: environment.minion_config_drive ?? false,
      ...(environment.minion_availability_zone === undefined
        ? {}
        : { availability_zone: environment.minion_availability_zone }),
    });
    return cloud.compute.server(id);
  };
  const active = await makeReady(
    () => findOrCreate(() => findMinion(cloud, key), create),
    async (server) => {
      await ctx.ledger.made(entry);
      return running(cloud, server);
    },
    (server) => deleteServer(cloud, server),
  );
  const hostKeys = (environment.minion_host_key ?? 'console') === 'console' ? await hostKeysOf(cloud, active) : [];
  const user = environment.minion_user ?? 'debian';
  return { server: active, host, user, privateKey: sshKey.privateKey, hostKeys };
}

/** The machine of that key, or null. */
export async function findMinion(cloud: Cloud, key: string): Promise<Server | null> {
  const name = minionName(key);
  const servers = await cloud.compute.servers({ name: `^${name}$` });
  return servers.find((server) => server.name === name && isMarked(server.metadata, key, 'minion')) ?? null;
}

async function takeKeypair(cloud: Cloud, key: string, publicKey: string): Promise<void> {
  const name = minionName(key);
  const known = await orNull(cloud.compute.keypair(name));
  if (known !== null && sameKey(known.public_key, publicKey)) return;
  if (known !== null) {
    // The endpoint's secret has changed since: the machine that knows the old key is of no use.
    const server = await findMinion(cloud, key);
    if (server !== null) await deleteServer(cloud, server);
    await cloud.compute.deleteKeypair(name);
  }
  await findOrCreate(
    () => orNull(cloud.compute.keypair(name)),
    async () => {
      await cloud.compute.importKeypair(name, publicKey);
      return cloud.compute.keypair(name);
    },
  );
}

function sameKey(a: string, b: string): boolean {
  return a.trim().split(/\s+/).slice(0, 2).join(' ') === b.trim().split(/\s+/).slice(0, 2).join(' ');
}

async function takePort(cloud: Cloud, key: string, network: string, group: string): Promise<Port> {
  const name = minionName(key);
  return findOrCreate(
    async () => (await cloud.network.ports({ name }))[0] ?? null,
    async () => {
      const made = await cloud.network.createPort({ name, network_id: network, security_groups: [group] });
      await cloud.network.setTags('ports', made.id, [tagOf(key)]);
      return made;
    },
  );
}

async function takeAddress(cloud: Cloud, key: string, port: Port, floatingNetwork: string | null): Promise<string> {
  const [fixed] = port.fixed_ips;
  if (floatingNetwork === null) {
    if (fixed !== undefined) return fixed.ip_address;
    throw new GodwitError('PLATFORM_ERROR', `port ${port.name} of ${cloud.label}`, { reason: 'it has no address' });
  }
  const floating = await findOrCreate(
    async () => (await cloud.network.floatingIps({ port_id: port.id }))[0] ?? null,
    async () => {
      const made = await cloud.network.createFloatingIp(floatingNetwork, port.id, `${minionName(key)} ${tagOf(key)}`);
      await cloud.network.setTags('floatingips', made.id, [tagOf(key)]);
      return made;
    },
  );
  return floating.floating_ip_address;
}

/** The server when it is ACTIVE; started when it is off. @throws GodwitError NO_CAPACITY, PLATFORM_ERROR */
export async function running(cloud: Cloud, server: Server): Promise<Server> {
  const object = `minion ${server.name} of ${cloud.label}`;
  if (server.status === 'SHUTOFF') await cloud.compute.action(server.id, { 'os-start': null });
  return waitUntil(
    cloud.signal,
    { object, until: 'ACTIVE', seconds: BOOT_S },
    () => cloud.compute.server(server.id),
    (seen) => {
      if (seen.status === 'ERROR') throw buildError(object, seen);
      return seen.status === 'ACTIVE';
    },
  );
}

/** Why a server went into ERROR. */
export function buildError(object: string, server: Server): GodwitError {
  const reason = (server.fault?.message ?? 'its status is ERROR').replace(/\.$/, '');
  const code = /no valid host|not enough|exceeded max scheduling/i.test(reason) ? 'NO_CAPACITY' : 'PLATFORM_ERROR';
  return new GodwitError(code, object, { reason });
}

/** The host keys it says on its console; kept in its metadata, for the console forgets. */
async function hostKeysOf(cloud: Cloud, server: Server): Promise<string[]> {
  const known = unpackHostKeys(server.metadata?.godwit_host_keys);
  if (known.length > 0) return known;
  const object = `minion ${server.name} of ${cloud.label}`;
  const keys = await waitUntil(
    cloud.signal,
    { object, until: 'known by host keys on its console', seconds: HOST_KEY_S, everyMs: 2_000 },
    async () => hostKeysIn(await cloud.compute.consoleLog(server.id, CONSOLE_LINES)),
    (seen) => seen.length > 0,
  ).catch((error: unknown) => {
    if (!(error instanceof GodwitError) || error.code !== 'PLATFORM_ERROR') throw error;
    const reason =
      'its console does not say its host keys: does the image run user data? (minion_host_key "first_contact" does without)';
    throw new GodwitError('PLATFORM_ERROR', object, { reason }, { cause: error });
  });
  await cloud.compute.addMetadata(server.id, { godwit_host_keys: packHostKeys(keys) });
  return keys;
}

/** Deletes a minion that does not answer: its volumes are detached by that, and the next call makes another. */
export async function deleteServer(cloud: Cloud, server: Server): Promise<void> {
  await orNull(cloud.compute.deleteServer(server.id));
  await gone(cloud, `instance ${server.name} of ${cloud.label}`, () => cloud.compute.server(server.id));
}

/** Removes a minion and all that was made for it. Gone already is success. Volumes that were attached stay. */
export async function removeMinion(cloud: Cloud, key: string): Promise<void> {
  const name = minionName(key);
  for (const server of await cloud.compute.servers({ name: `^${name}$` })) {
    if (server.name === name && isMarked(server.metadata, key, 'minion')) await deleteServer(cloud, server);
  }
  const tag = tagOf(key);
  for (const port of await cloud.network.ports({ name })) {
    if (port.tags?.includes(tag) === false) continue;
    for (const floating of await cloud.network.floatingIps({ port_id: port.id })) {
      await orNull(cloud.network.delete('floatingips', floating.id));
    }
    await orNull(cloud.network.delete('ports', port.id));
  }
  for (const floating of await cloud.network.floatingIps({ tags: tag })) {
    if (floating.description?.startsWith(`${name} `)) await orNull(cloud.network.delete('floatingips', floating.id));
  }
  for (const group of await cloud.network.securityGroups({ name })) {
    if (group.tags?.includes(tag) === false) continue;
    await orNull(cloud.network.delete('security-groups', group.id));
  }
  if ((await orNull(cloud.compute.keypair(name))) !== null) await orNull(cloud.compute.deleteKeypair(name));
}
