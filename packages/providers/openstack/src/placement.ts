import { GodwitError, type InstanceInfo, type InstanceNic } from '@godwit/domain';
import { checkInput, mappedNetwork, mappedStorage, storagesNamed, type TargetRequest } from '@godwit/provider';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Cloud } from './client/cloud.ts';
import type { Flavor } from './client/compute.ts';
import type { NeutronNetwork } from './client/network.ts';
import { type DestinationEnvironment, destinationEnvironmentSchema } from './environment.ts';
import { SERVER_JSON, type ServerArtefact } from './inventory.ts';

export function destinationEnvironment(request: TargetRequest): DestinationEnvironment {
  return checkInput(destinationEnvironmentSchema, request.environment, 'destination_environment');
}

/** Volume type of a disk: by its id, else by its source's type, else the default, else the environment's, else the cloud's. */
export function typeOf(
  disk: { id: string; storage_backend_identifier?: string | null },
  request: TargetRequest,
  environment: DestinationEnvironment,
): string | null {
  return mappedStorage(disk, request.storageMappings) ?? environment.volume_type ?? null;
}

/** Every volume type that a request names. */
export function typesIn(request: TargetRequest): string[] {
  const own = destinationEnvironment(request).volume_type;
  return [...new Set([...storagesNamed(request.storageMappings), ...(own === undefined ? [] : [own])])];
}

/** A NIC and the network it goes to. */
export interface PlacedNic {
  nic: InstanceNic;
  network: NeutronNetwork;
}

/**
 * NICs with their networks; those that go to `none` are left out.
 *
 * @throws GodwitError INVALID_INPUT: a network that nothing maps, or that the cloud does not have
 */
export function placeNics(
  instance: InstanceInfo,
  request: TargetRequest,
  networks: readonly NeutronNetwork[],
): PlacedNic[] {
  const environment = destinationEnvironment(request);
  const object = `instance ${instance.name}`;
  return instance.devices.nics.flatMap((nic) => {
    const wanted = mappedNetwork(nic, request.networkMap) ?? environment.network;
    if (wanted === undefined) {
      const reason = `network_map does not say where network "${nic.network_name}" of NIC ${nic.id} leads`;
      throw new GodwitError('INVALID_INPUT', object, { reason });
    }
    if (wanted === 'none') return [];
    const found = networks.filter(({ id, name }) => id === wanted || name === wanted);
    const [network] = found;
    if (network === undefined || found.length > 1) {
      const reason =
        network === undefined
          ? `network "${wanted}" does not exist in the target cloud`
          : `${found.length} networks are named "${wanted}"; use the id`;
      throw new GodwitError('INVALID_INPUT', object, { reason });
    }
    return [{ nic, network }];
  });
}

const artefactSchema = Type.Object({
  metadata: Type.Record(Type.String(), Type.String()),
  tags: Type.Array(Type.String()),
  properties: Type.Record(Type.String(), Type.String()),
  ports: Type.Array(Type.Object({ id: Type.String() })),
});

/** What an OpenStack source told beyond the common description; null from other platforms. */
export function artefactOf(instance: InstanceInfo): ServerArtefact | null {
  const text = instance.artefacts?.[SERVER_JSON];
  if (text === undefined) return null;
  const value: unknown = JSON.parse(text);
  return isArtefact(value) ? value : null;
}

function isArtefact(value: unknown): value is ServerArtefact {
  return Value.Check(artefactSchema, value);
}

/** What a flavor must have. */
export interface FlavorNeed {
  vcpus: number;
  /** MiB. */
  ram: number;
  name: string | null;
}

export function flavorNeed(instance: InstanceInfo): FlavorNeed {
  return { vcpus: instance.num_cpu, ram: instance.memory_mb, name: instance.flavor_name ?? null };
}

/**
 * The flavor to take: the same name and size, else the same size, else the smallest that is large enough; null when
 * there is none. One with an ephemeral disk is taken only by name.
 */
export function bestFlavor(flavors: readonly Flavor[], need: FlavorNeed): Flavor | null {
  const usable = flavors.filter((flavor) => flavor['OS-FLV-DISABLED:disabled'] !== true);
  const exact = usable.filter(({ vcpus, ram }) => vcpus === need.vcpus && ram === need.ram);
  const named = exact.find(({ name }) => name === need.name);
  if (named !== undefined) return named;
  const plain = (flavor: Flavor) => (flavor['OS-FLV-EXT-DATA:ephemeral'] ?? 0) === 0;
  const order = (a: Flavor, b: Flavor) =>
    a.ram - b.ram || a.vcpus - b.vcpus || a.disk - b.disk || (a.name < b.name ? -1 : 1);
  const fits = usable.filter((flavor) => plain(flavor) && flavor.vcpus >= need.vcpus && flavor.ram >= need.ram);
  return exact.filter(plain).sort(order)[0] ?? fits.sort(order)[0] ?? null;
}

/** @throws GodwitError INVALID_INPUT: something named is not there */
export async function checkNames(cloud: Cloud, request: TargetRequest): Promise<void> {
  const environment = destinationEnvironment(request);
  const refuse = (reason: string) => new GodwitError('INVALID_INPUT', cloud.label, { reason });
  const types = typesIn(request);
  if (types.length > 0) {
    const known = await cloud.volumes.types();
    for (const type of types) {
      if (!known.some(({ id, name }) => id === type || name === type))
        throw refuse(`volume type "${type}" does not exist`);
    }
  }
  const networks = await cloud.network.networks();
  placeNics(request.instance, request, networks);
  const { flavor_name: flavorName, keypair_name: keypair, floating_network: floating } = environment;
  const flavors = await cloud.compute.flavors();
  if (flavorName !== undefined && !flavors.some(({ id, name }) => id === flavorName || name === flavorName)) {
    throw refuse(`flavor "${flavorName}" does not exist`);
  }
  const need = flavorNeed(request.instance);
  if (flavorName === undefined && environment.create_flavor !== true && bestFlavor(flavors, need) === null) {
    throw refuse(`no flavor has ${need.vcpus} CPUs and ${need.ram} MiB; name one with flavor_name`);
  }
  if (keypair !== undefined && !(await cloud.compute.keypairs()).includes(keypair)) {
    throw refuse(`keypair "${keypair}" does not exist`);
  }
  if (floating !== undefined && !networks.some(({ id, name }) => id === floating || name === floating)) {
    throw refuse(`floating network "${floating}" does not exist`);
  }
  const zone = environment.availability_zone;
  if (zone !== undefined && !(await cloud.compute.zones()).includes(zone)) {
    throw refuse(`availability zone "${zone}" does not exist or takes no instances`);
  }
  if (environment.security_groups !== undefined) {
    const groups = await cloud.network.securityGroups({ project_id: await cloud.projectId() });
    for (const wanted of environment.security_groups) {
      if (!groups.some(({ id, name }) => id === wanted || name === wanted)) {
        throw refuse(`security group "${wanted}" does not exist`);
      }
    }
  }
}
