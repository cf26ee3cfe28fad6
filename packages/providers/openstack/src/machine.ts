import type { InstanceInfo } from '@godwit/domain';
import type { DeployRequest, ProviderContext } from '@godwit/provider';
import type { Cloud } from './client/cloud.ts';
import type { NewServer } from './client/compute.ts';
import type { DestinationEnvironment } from './environment.ts';
import type { ServerArtefact } from './inventory.ts';
import { marksOf, PREFIX } from './mark.ts';
import { artefactOf, bestFlavor, destinationEnvironment, flavorNeed } from './placement.ts';

const buses = new Set(['virtio', 'scsi', 'sata', 'ide', 'usb']);
const models = new Set(['virtio', 'e1000', 'e1000e', 'rtl8139', 'vmxnet3']);
/** Metadata entries that a server may have at most, in most clouds. */
const MAX_METADATA = 128;

/**
 * Image properties of the root volume: what the guest expects of its hardware. Those of an OpenStack source as they are,
 * of others from the common description; the environment overrides both.
 */
export function guestProperties(instance: InstanceInfo, environment: DestinationEnvironment): Record<string, string> {
  const artefact = artefactOf(instance);
  const properties: Record<string, string> = { ...artefact?.properties };
  if (instance.firmware_type === 'EFI') properties.hw_firmware_type ??= 'uefi';
  if (instance.secure_boot) properties.os_secure_boot ??= 'required';
  if (instance.os_type === 'windows') properties.os_type ??= 'windows';
  const [root] = instance.devices.disks;
  const bus = environment.disk_bus ?? 'keep';
  const wantedBus = bus === 'keep' ? (root?.bus ?? null) : bus;
  if (wantedBus !== null && buses.has(wantedBus)) {
    if (bus !== 'keep' || properties.hw_disk_bus === undefined) properties.hw_disk_bus = wantedBus;
    if (wantedBus === 'scsi') properties.hw_scsi_model ??= 'virtio-scsi';
  }
  const model = environment.nic_model ?? 'keep';
  const wantedModel = model === 'keep' ? (instance.devices.nics[0]?.model ?? null) : model;
  if (wantedModel !== null && models.has(wantedModel)) {
    if (model !== 'keep' || properties.hw_vif_model === undefined) properties.hw_vif_model = wantedModel;
  }
  // A versioned machine type of another host may not exist here; its family does.
  const machine = artefact === null ? instance.machine_type : null;
  if (machine?.includes('q35')) properties.hw_machine_type ??= 'q35';
  return properties;
}

/** Name of the deployed instance. */
export function deployedName(request: DeployRequest): string {
  const name = request.instance.name + (destinationEnvironment(request).name_suffix ?? '');
  return request.test ? `${name}-test` : name;
}

/** Security groups of the NICs, as ids: those asked for, else those of the source's names, else `default`. */
export async function groupsFor(
  cloud: Cloud,
  ctx: ProviderContext,
  request: DeployRequest,
): Promise<(nicId: string) => string[]> {
  const environment = destinationEnvironment(request);
  const artefact = artefactOf(request.instance);
  const groups = await cloud.network.securityGroups({ project_id: await cloud.projectId() });
  const idsOf = (names: readonly string[]) =>
    groups.filter(({ id, name }) => names.includes(id) || names.includes(name)).map(({ id }) => id);
  const missing = new Set<string>();
  const chosen = (nicId: string) => {
    if (environment.security_groups !== undefined) return idsOf(environment.security_groups);
    const names = artefact?.ports.find(({ id }) => id === nicId)?.security_groups ?? artefact?.security_groups ?? [];
    for (const name of names) if (!groups.some((group) => group.name === name)) missing.add(name);
    const ids = idsOf(names);
    return ids.length > 0 ? ids : idsOf(['default']);
  };
  for (const nic of request.instance.devices.nics) chosen(nic.id);
  if (missing.size > 0) {
    ctx.progress(`Security groups ${[...missing].join(', ')} do not exist in ${cloud.label}; they are left out`);
  }
  return chosen;
}

/** Flavor id, and whether it was created for this instance. */
export async function takeFlavor(
  cloud: Cloud,
  ctx: ProviderContext,
  request: DeployRequest,
): Promise<{ id: string; created: boolean }> {
  const environment = destinationEnvironment(request);
  const flavors = await cloud.compute.flavors();
  const named = flavors.find(({ id, name }) => id === environment.flavor_name || name === environment.flavor_name);
  if (named !== undefined) return { id: named.id, created: false };
  const need = flavorNeed(request.instance);
  const best = bestFlavor(flavors, need);
  const exact = best !== null && best.vcpus === need.vcpus && best.ram === need.ram;
  if (best !== null && (exact || environment.create_flavor !== true)) {
    if (!exact) {
      ctx.progress(
        `Flavor ${best.name} (${best.vcpus} CPUs, ${best.ram} MiB) is the smallest for ${need.vcpus} CPUs and ${need.ram} MiB`,
      );
    }
    return { id: best.id, created: false };
  }
  const name = `${PREFIX}${request.key}`;
  const known = flavors.find((flavor) => flavor.name === name);
  if (known !== undefined) return { id: known.id, created: true };
  const made = await cloud.compute.createFlavor({ name, vcpus: need.vcpus, ram: need.ram, disk: 0 });
  ctx.progress(`Created flavor ${name}`);
  return { id: made.id, created: true };
}

/** The server that a deployment becomes, and the server group it goes into. */
export async function serverFor(
  cloud: Cloud,
  ctx: ProviderContext,
  request: DeployRequest,
  parts: { volumes: readonly string[]; ports: readonly string[]; flavor: string },
): Promise<{ server: NewServer; group: string | null }> {
  const environment = destinationEnvironment(request);
  const artefact = artefactOf(request.instance);
  const keypair = await keypairFor(cloud, ctx, environment, artefact);
  const zone = await zoneFor(cloud, ctx, environment, artefact);
  const group = await groupFor(cloud, ctx, environment, artefact);
  const userData =
    environment.user_data === undefined ? artefact?.user_data : Buffer.from(environment.user_data).toString('base64');
  const marks = marksOf(request.key, 'instance', { godwit_transfer: request.transfer });
  const metadata = Object.entries(artefact?.metadata ?? {}).filter(([name]) => !name.startsWith('godwit_'));
  const server: NewServer = {
    name: deployedName(request),
    flavorRef: parts.flavor,
    networks: parts.ports.length === 0 ? 'none' : parts.ports.map((port) => ({ port })),
    block_device_mapping_v2: parts.volumes.map((uuid, index) => ({
      boot_index: index === 0 ? 0 : -1,
      uuid,
      source_type: 'volume',
      destination_type: 'volume',
      delete_on_termination: environment.delete_volumes_on_termination ?? false,
    })),
    metadata: { ...Object.fromEntries(metadata.slice(0, MAX_METADATA - Object.keys(marks).length)), ...marks },
    config_drive: environment.config_drive ?? artefact?.config_drive ?? false,
    ...(keypair === null ? {} : { key_name: keypair }),
    ...(zone === null ? {} : { availability_zone: zone }),
    ...(userData ? { user_data: userData } : {}),
    ...(artefact !== null && artefact.tags.length > 0 ? { tags: artefact.tags } : {}),
  };
  return { server, group };
}

async function keypairFor(
  cloud: Cloud,
  ctx: ProviderContext,
  environment: DestinationEnvironment,
  artefact: ServerArtefact | null,
): Promise<string | null> {
  const wanted = environment.keypair_name ?? artefact?.key_name ?? null;
  if (wanted === null || (await cloud.compute.keypairs()).includes(wanted)) return wanted;
  ctx.progress(`Keypair ${wanted} does not exist in ${cloud.label}; the instance gets none`);
  return null;
}

async function zoneFor(
  cloud: Cloud,
  ctx: ProviderContext,
  environment: DestinationEnvironment,
  artefact: ServerArtefact | null,
): Promise<string | null> {
  const wanted = environment.availability_zone ?? artefact?.availability_zone ?? null;
  if (wanted === null || environment.availability_zone !== undefined) return wanted;
  if ((await cloud.compute.zones()).includes(wanted)) return wanted;
  ctx.progress(`Availability zone ${wanted} does not exist in ${cloud.label}; the cloud chooses one`);
  return null;
}

async function groupFor(
  cloud: Cloud,
  ctx: ProviderContext,
  environment: DestinationEnvironment,
  artefact: ServerArtefact | null,
): Promise<string | null> {
  const wanted = environment.server_group ?? artefact?.server_groups[0];
  if (wanted === undefined) return null;
  const found = (await cloud.compute.serverGroups()).find(({ id, name }) => id === wanted || name === wanted);
  if (found === undefined) ctx.progress(`Server group ${wanted} does not exist in ${cloud.label}; it is left out`);
  return found?.id ?? null;
}
