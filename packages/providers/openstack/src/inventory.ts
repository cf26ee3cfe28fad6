import {
  GodwitError,
  type InstanceDisk,
  type InstanceInfo,
  type InstanceNic,
  type InstanceSummary,
  type Network,
  type OsType,
  type StorageBackend,
} from '@godwit/domain';
import type { InstanceQuery, ProviderContext } from '@godwit/provider';
import type { Volume } from './client/block-storage.ts';
import type { Cloud } from './client/cloud.ts';
import type { Server } from './client/compute.ts';
import type { Image } from './client/image.ts';
import type { Port } from './client/network.ts';
import { openCloud } from './connection.ts';
import { orNull } from './wait.ts';

export const GIB = 1_073_741_824;
/** Id of the root disk of an instance that was booted from an image: it has none at the platform. */
export const ROOT_DISK = 'root';
/** Media type of the artefact. */
export const SERVER_JSON = 'application/vnd.openstack.server+json';

export async function validateConnection(ctx: ProviderContext): Promise<void> {
  const cloud = openCloud(ctx);
  await Promise.all([cloud.compute.servers({ limit: 1 }), cloud.volumes.types(), cloud.network.networks()]);
}

/** A server with all that belongs to it. */
export interface FoundServer {
  server: Server;
  /** Attached volumes, the root first, then by device name. */
  volumes: Volume[];
  /** Booted from an image: the root disk lies with the hypervisor. */
  ephemeralRoot: boolean;
  /** The image it was made from, if it still exists. */
  image: Image | null;
}

/**
 * The server of that id or unique name.
 *
 * @throws GodwitError NOT_FOUND
 */
export async function findServer(cloud: Cloud, instance: string): Promise<FoundServer> {
  const server = await serverOf(cloud, instance);
  const attachments = await cloud.compute.attachments(server.id);
  const volumes = await Promise.all(attachments.map(({ volumeId }) => cloud.volumes.volume(volumeId)));
  const deviceOf = (volume: Volume) => attachments.find(({ volumeId }) => volumeId === volume.id)?.device ?? '';
  const ephemeralRoot = imageIdOf(server) !== null;
  const sorted = volumes.toSorted((a, b) => compareDevices(deviceOf(a), deviceOf(b)));
  const imageId = imageIdOf(server);
  const image = imageId === null ? null : await orNull(cloud.images.image(imageId));
  return { server, volumes: sorted, ephemeralRoot, image };
}

async function serverOf(cloud: Cloud, instance: string): Promise<Server> {
  const refuse = () => new GodwitError('NOT_FOUND', `instance ${instance} of ${cloud.label}`);
  if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(instance)) {
    const found = await orNull(cloud.compute.server(instance));
    if (found !== null) return found;
  }
  if (instance === '') throw refuse();
  const named = (await cloud.compute.servers({ name: `^${escapeRegex(instance)}$` })).filter(
    ({ name }) => name === instance,
  );
  if (named.length > 1) {
    const reason = `${named.length} instances have this name; use the id`;
    throw new GodwitError('CONFLICT', `instance ${instance} of ${cloud.label}`, { reason });
  }
  const [only] = named;
  if (only === undefined) throw refuse();
  return only;
}

function escapeRegex(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** `/dev/vdb` before `/dev/vdaa`. */
function compareDevices(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

function imageIdOf(server: Server): string | null {
  return typeof server.image === 'object' && server.image !== null ? server.image.id : null;
}

export function isRunning(server: Server): boolean {
  return !['SHUTOFF', 'STOPPED', 'SHELVED', 'SHELVED_OFFLOADED', 'BUILD', 'ERROR', 'DELETED'].includes(server.status);
}

export async function listInstances(ctx: ProviderContext, query: InstanceQuery): Promise<InstanceSummary[]> {
  const cloud = openCloud(ctx);
  const [servers, images, volumes] = await Promise.all([
    cloud.compute.servers(),
    cloud.images.images(),
    cloud.volumes.volumes(),
  ]);
  const imageById = new Map(images.map((image) => [image.id, image]));
  const volumeById = new Map(volumes.map((volume) => [volume.id, volume]));
  const found = servers
    .filter((server) => server.metadata?.godwit_role !== 'minion')
    .map((server) => {
      const imageId = imageIdOf(server);
      const boot = (server['os-extended-volumes:volumes_attached'] ?? [])
        .map(({ id }) => volumeById.get(id))
        .find((volume) => volume?.volume_image_metadata);
      return summaryOf(
        server,
        imageId === null ? (boot?.volume_image_metadata ?? null) : (imageById.get(imageId) ?? null),
      );
    });
  const wanted = query.name?.toLowerCase();
  const sorted = found
    .filter(({ name }) => wanted === undefined || name.toLowerCase().includes(wanted))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
  const start = query.marker === undefined ? 0 : sorted.findIndex(({ id }) => id === query.marker) + 1;
  return sorted.slice(start, query.limit === undefined ? undefined : start + query.limit);
}

type Properties = Readonly<Record<string, unknown>> | Image | null;

function property(properties: Properties, name: string): string | null {
  if (properties === null) return null;
  const value: unknown = Reflect.get(properties, name);
  return typeof value === 'string' && value !== '' ? value : null;
}

function summaryOf(server: Server, properties: Properties): InstanceSummary {
  return {
    id: server.id,
    name: server.name === '' ? server.id : server.name,
    num_cpu: Math.max(1, server.flavor.vcpus),
    memory_mb: Math.max(1, server.flavor.ram),
    os_type: osTypeOf(properties),
    firmware_type: property(properties, 'hw_firmware_type') === 'uefi' ? 'EFI' : 'BIOS',
    flavor_name: server.flavor.original_name ?? null,
  };
}

function osTypeOf(properties: Properties): OsType {
  const type = (property(properties, 'os_type') ?? property(properties, 'os_distro') ?? '').toLowerCase();
  if (type === '') return 'unknown';
  if (type.startsWith('win')) return 'windows';
  if (/bsd/.test(type)) return 'bsd';
  if (/solaris|illumos/.test(type)) return 'solaris';
  return 'linux';
}

/** What an OpenStack target takes over from an OpenStack source beyond the common description. */
export interface ServerArtefact {
  metadata: Record<string, string>;
  tags: string[];
  key_name: string | null;
  user_data: string | null;
  availability_zone: string | null;
  server_groups: string[];
  security_groups: string[];
  config_drive: boolean;
  flavor: { name: string | null; vcpus: number; ram: number; disk: number; ephemeral: number; swap: number };
  /** Hardware and guest properties (`hw_*`, `os_*`) of the image or the root volume. */
  properties: Record<string, string>;
  ports: {
    id: string;
    network_id: string;
    subnets: { cidr: string; ip_version: number; ip_address: string }[];
    allowed_address_pairs: { ip_address: string; mac_address?: string }[];
    security_groups: string[];
    port_security_enabled: boolean;
  }[];
}

export async function getInstance(ctx: ProviderContext, id: string): Promise<InstanceInfo> {
  const cloud = openCloud(ctx);
  return describeInstance(cloud, await findServer(cloud, id));
}

export async function describeInstance(cloud: Cloud, found: FoundServer): Promise<InstanceInfo> {
  const { server, volumes, image } = found;
  const [root] = found.ephemeralRoot ? [] : volumes;
  const properties: Properties = found.ephemeralRoot ? image : (root?.volume_image_metadata ?? null);
  const [networks, ports] = await Promise.all([
    cloud.network.networks(),
    cloud.network.ports({ device_id: server.id }),
  ]);
  const disks = disksOf(found, property(properties, 'hw_disk_bus'));
  const nics = ports
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map((port) => nicOf(port, networks, property(properties, 'hw_vif_model')));
  const artefact = await artefactOf(cloud, server, ports, properties);
  const summary = summaryOf(server, properties);
  return {
    ...summary,
    firmware_type: summary.firmware_type ?? 'BIOS',
    running: isRunning(server),
    secure_boot: property(properties, 'os_secure_boot') === 'required',
    nested_virtualization: false,
    dynamic_memory_enabled: false,
    hostname: server['OS-EXT-SRV-ATTR:hostname'] ?? null,
    machine_type: property(properties, 'hw_machine_type'),
    boot_order: disks.slice(0, 1).map((disk) => disk.id),
    devices: { disks, nics, cdroms: [], serial_ports: [], floppies: [], controllers: [] },
    artefacts: { [SERVER_JSON]: JSON.stringify(artefact) },
  };
}

function disksOf(found: FoundServer, bus: string | null): InstanceDisk[] {
  const { server, volumes, ephemeralRoot } = found;
  const rootSize =
    server.flavor.disk > 0 ? server.flavor.disk * GIB : (found.image?.virtual_size ?? found.image?.size ?? 0);
  const root: InstanceDisk[] = ephemeralRoot
    ? [
        {
          id: ROOT_DISK,
          size_bytes: rootSize,
          format: 'raw',
          unit_number: 0,
          bus,
          storage_backend_identifier: 'ephemeral',
        },
      ]
    : [];
  return [
    ...root,
    ...volumes.map((volume, index) => ({
      id: volume.id,
      size_bytes: volume.size * GIB,
      format: 'raw',
      path: volume.name === '' ? null : volume.name,
      unit_number: index + root.length,
      bus,
      storage_backend_identifier: volume.volume_type ?? null,
      shareable: volume.multiattach ?? false,
    })),
  ];
}

function nicOf(port: Port, networks: Network[], model: string | null): InstanceNic {
  return {
    id: port.id,
    name: port.name === '' ? null : port.name,
    network_id: port.network_id,
    network_name: networks.find(({ id }) => id === port.network_id)?.name ?? port.network_id,
    mac_address: port.mac_address,
    ip_addresses: port.fixed_ips.map((fixed) => fixed.ip_address),
    model,
  };
}

async function artefactOf(
  cloud: Cloud,
  server: Server,
  ports: Port[],
  properties: Properties,
): Promise<ServerArtefact> {
  const subnetIds = new Set(ports.flatMap((port) => port.fixed_ips.map((fixed) => fixed.subnet_id)));
  const subnets = subnetIds.size === 0 ? [] : await cloud.network.subnets();
  const groups = await cloud.network.securityGroups();
  // Not by the server's own list, which Nova leaves out where servers are listed.
  const serverGroups = await cloud.compute.serverGroups();
  const kept = Object.entries(properties ?? {}).filter(
    (entry): entry is [string, string] =>
      /^(hw|os|img)_/.test(entry[0]) && typeof entry[1] === 'string' && !/hash/.test(entry[0]),
  );
  return {
    metadata: server.metadata ?? {},
    tags: server.tags ?? [],
    key_name: server.key_name ?? null,
    user_data: server['OS-EXT-SRV-ATTR:user_data'] ?? null,
    availability_zone: server['OS-EXT-AZ:availability_zone'] ?? null,
    server_groups: serverGroups.filter(({ members }) => members.includes(server.id)).map(({ name }) => name),
    security_groups: [...new Set((server.security_groups ?? []).map(({ name }) => name))],
    config_drive: server.config_drive === true || server.config_drive === 'True',
    flavor: {
      name: server.flavor.original_name ?? null,
      vcpus: server.flavor.vcpus,
      ram: server.flavor.ram,
      disk: server.flavor.disk,
      ephemeral: server.flavor.ephemeral ?? 0,
      swap: Number(server.flavor.swap ?? 0) || 0,
    },
    properties: Object.fromEntries(kept),
    ports: ports.map((port) => ({
      id: port.id,
      network_id: port.network_id,
      subnets: port.fixed_ips.flatMap((fixed) => {
        const subnet = subnets.find(({ id }) => id === fixed.subnet_id);
        return subnet === undefined
          ? []
          : [{ cidr: subnet.cidr, ip_version: subnet.ip_version, ip_address: fixed.ip_address }];
      }),
      allowed_address_pairs: port.allowed_address_pairs ?? [],
      security_groups: groups.filter(({ id }) => port.security_groups?.includes(id)).map(({ name }) => name),
      port_security_enabled: port.port_security_enabled ?? true,
    })),
  };
}

export async function listNetworks(ctx: ProviderContext): Promise<Network[]> {
  const networks = await openCloud(ctx).network.networks();
  return networks
    .map(({ id, name }) => ({ id, name: name === '' ? id : name }))
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1));
}

/** Volume types; ids are names, which is what Cinder itself takes. */
export async function listStorage(ctx: ProviderContext): Promise<StorageBackend[]> {
  const types = await openCloud(ctx).volumes.types();
  return types
    .filter(({ name }) => name !== '__DEFAULT__')
    .map(({ id, name, extra_specs }) => ({
      id: name,
      name,
      additional_provider_properties: { id, backend: extra_specs?.volume_backend_name ?? null },
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
