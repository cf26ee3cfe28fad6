import type { InstanceInfo } from '@godwit/domain';
import { type DeployRequest, mappedNetwork } from '@godwit/provider';
import type { DiskFormat } from './environment.ts';

/** What the descriptions of a deployed instance are written from. */
export interface Machine {
  name: string;
  info: InstanceInfo;
  disks: MachineDisk[];
  nics: MachineNic[];
  test: boolean;
}

export interface MachineDisk {
  id: string;
  /** File beside the description. */
  file: string;
  format: DiskFormat;
  /** Bytes. */
  size: number;
  bus: string;
}

export interface MachineNic {
  network: string;
  mac: string | null;
  model: string;
}

/** Network of test failovers: nobody else is on it, and the links are down. */
export const isolatedNetwork = 'godwit-isolated';

/** @param files per disk id the file in the instance's folder */
export function machineOf(
  request: DeployRequest,
  name: string,
  files: ReadonlyMap<string, { file: string; format: DiskFormat; size: number }>,
): Machine {
  const info = request.instance;
  const disks = info.devices.disks.flatMap((disk) => {
    const found = files.get(disk.id);
    return found ? [{ id: disk.id, ...found, bus: disk.bus ?? (info.os_type === 'linux' ? 'virtio' : 'sata') }] : [];
  });
  const nics = info.devices.nics.map((nic) => ({
    network: request.test
      ? isolatedNetwork
      : (mappedNetwork(nic, request.networkMap) ?? (nic.network_name || 'default')),
    mac: nic.mac_address,
    model: nic.model ?? (info.os_type === 'linux' ? 'virtio' : 'e1000'),
  }));
  return { name, info, disks, nics, test: request.test };
}
