import { GodwitError, type InstanceInfo, type InstanceNic } from '@godwit/domain';
import {
  checkInput,
  mappedNetwork,
  mappedStorage,
  type StorageMappings,
  storagesNamed,
  type TargetRequest,
} from '@godwit/provider';
import { textOf } from '@godwit/provider/xml';
import type { Static } from 'typebox';
import type { Host } from './connection.ts';
import { destinationEnvironmentSchema } from './environment.ts';
import { words } from './host-files.ts';
import { folderPools } from './inventory.ts';
import { readXml } from './xml.ts';

export type DestinationEnvironment = Static<typeof destinationEnvironmentSchema>;

export function destinationEnvironment(request: TargetRequest): DestinationEnvironment {
  return checkInput(destinationEnvironmentSchema, request.environment, 'destination_environment');
}

/** Where a disk goes: by its id, else by its source's backend, else the default, else the environment's, else `default`. */
export function storageOf(
  disk: { id: string; storage_backend_identifier?: string | null },
  mappings: StorageMappings,
  environment: DestinationEnvironment,
): string {
  return mappedStorage(disk, mappings) ?? environment.storage ?? 'default';
}

/** Every storage that a request names. */
export function storagesIn(request: TargetRequest): string[] {
  const environment = destinationEnvironment(request);
  const named = [
    ...storagesNamed(request.storageMappings),
    ...request.instance.devices.disks.map((disk) => storageOf(disk, request.storageMappings, environment)),
  ];
  return [...new Set(named)];
}

/**
 * Folder of a storage: itself when it is an absolute path, else the target of the pool of that name.
 *
 * @throws GodwitError INVALID_INPUT (no such pool or folder, or a pool that holds no files)
 */
export async function folderOf(host: Host, storage: string): Promise<string> {
  const refuse = (reason: string) => new GodwitError('INVALID_INPUT', host.ctx.endpoint, { reason });
  if (storage.startsWith('/')) {
    if (host.files.reach === 'none') return storage;
    const found = await host.files.run('test', ['-d', storage], host.ctx.endpoint);
    if (found.code === 0) return storage.replace(/\/+$/, '') || '/';
    throw refuse(`storage "${storage}" is no folder on the host`);
  }
  if (storage.startsWith('-')) throw refuse(`storage "${storage}" is unknown`);
  const result = await host.virsh.attempt(['pool-dumpxml', storage]);
  if (result.code !== 0) {
    throw refuse(`storage "${storage}" is unknown: name a storage pool of the host, or a folder as an absolute path`);
  }
  const pool = readXml(result.stdout, `storage pool ${storage}`);
  const path = textOf(pool, 'target', 'path');
  if (!folderPools.has(pool.attributes.type ?? '') || path === null) {
    throw refuse(
      `storage pool "${storage}" is of type ${pool.attributes.type ?? 'unknown'}; a pool of type dir is needed`,
    );
  }
  const active = words(await host.virsh.run(host.ctx.endpoint, 'pool-list', '--name')).includes(storage);
  if (!active) throw refuse(`storage pool "${storage}" is not started`);
  return path;
}

/** A NIC and the network of the host it is connected to; `user`: libvirt's built-in network of unprivileged domains. */
export interface PlacedNic {
  nic: InstanceNic;
  network: string;
}

/**
 * NICs with their networks; those that go to `none` are left out.
 *
 * @throws GodwitError INVALID_INPUT (a network that nothing maps)
 */
export function placeNics(instance: InstanceInfo, request: TargetRequest): PlacedNic[] {
  const environment = destinationEnvironment(request);
  return instance.devices.nics
    .map((nic) => {
      const network = mappedNetwork(nic, request.networkMap) ?? environment.network;
      if (network !== undefined) return { nic, network };
      throw new GodwitError('INVALID_INPUT', `instance ${instance.name}`, {
        reason: `network_map does not say where network "${nic.network_name}" of NIC ${nic.id} leads`,
      });
    })
    .filter(({ network }) => network !== 'none');
}

/** @throws GodwitError INVALID_INPUT (a network that the host does not have) */
export async function checkNetworks(host: Host, nics: readonly PlacedNic[]): Promise<void> {
  const wanted = new Set(nics.map(({ network }) => network).filter((network) => network !== 'user'));
  if (wanted.size === 0) return;
  const known = new Set(words(await host.virsh.run(host.ctx.endpoint, 'net-list', '--all', '--name')));
  for (const network of wanted) {
    if (known.has(network)) continue;
    throw new GodwitError('INVALID_INPUT', host.ctx.endpoint, {
      reason: `network "${network}" is unknown on the host`,
    });
  }
}
