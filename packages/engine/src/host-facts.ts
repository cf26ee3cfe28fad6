import os from 'node:os';

/** What a process tells of itself and its machine: the contract's diagnostics, and the `specs` of a service. */
export interface HostFacts {
  application: string;
  hostname: string;
  /** Addresses that others may reach it at. */
  ip_addresses: string[];
  /** `name==version`. */
  packages: string[];
  os_info: { system: string; release: string; machine: string };
}

/** @param version of Godwit, where it is known */
export function hostFacts(application: string, version?: string): HostFacts {
  return {
    application,
    hostname: os.hostname(),
    ip_addresses: Object.values(os.networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter((address) => !address.internal)
      .map((address) => address.address),
    packages: [...(version === undefined ? [] : [`godwit==${version}`]), `node==${process.versions.node}`],
    os_info: { system: os.type(), release: os.release(), machine: os.machine() },
  };
}
