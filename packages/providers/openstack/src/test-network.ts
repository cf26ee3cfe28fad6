import type { InstanceInfo, InstanceNic } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import type { Cloud } from './client/cloud.ts';
import type { NeutronNetwork } from './client/network.ts';
import type { ServerArtefact } from './inventory.ts';
import { digest, PREFIX, tagOf } from './mark.ts';
import { findOrCreate, orNull } from './wait.ts';

/** An address range of a test network. */
export interface TestSubnet {
  cidr: string;
  ip_version: number;
}

/** Networks that lead nowhere, one for each that the source's NICs are in. In the order of the NICs. */
export async function makeTestNetworks(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  instance: InstanceInfo,
  artefact: ServerArtefact | null,
): Promise<NeutronNetwork[]> {
  const { nics } = instance.devices;
  if (nics.length === 0) return [];
  const entry = await ctx.ledger.intend('network', PREFIX + key, { key }, 'deployment');
  const made = new Map<string, NeutronNetwork>();
  for (const nic of nics) {
    if (made.has(nic.network_name)) continue;
    const subnets = nics
      .filter(({ network_name }) => network_name === nic.network_name)
      .flatMap((one) => subnetsOf(one, artefact));
    made.set(nic.network_name, await takeNetwork(cloud, key, nic.network_name, distinct(subnets)));
  }
  await ctx.ledger.made(entry);
  return nics.map((nic) => made.get(nic.network_name)).filter((network) => network !== undefined);
}

/** The ranges that a NIC's addresses are of: as the source tells, else the 256 (or 2^64) around each address. */
export function subnetsOf(nic: InstanceNic, artefact: Pick<ServerArtefact, 'ports'> | null): TestSubnet[] {
  const known = artefact?.ports.find(({ id }) => id === nic.id)?.subnets ?? [];
  if (known.length > 0) return known.map(({ cidr, ip_version }) => ({ cidr, ip_version }));
  return (nic.ip_addresses ?? []).map((address) =>
    address.includes(':')
      ? { cidr: `${address.split(':').slice(0, 4).join(':')}::/64`, ip_version: 6 }
      : { cidr: `${address.split('.').slice(0, 3).join('.')}.0/24`, ip_version: 4 },
  );
}

function distinct(subnets: readonly TestSubnet[]): TestSubnet[] {
  const byCidr = new Map(subnets.map((subnet) => [subnet.cidr, subnet]));
  // Without any address there must be a subnet still, or ports get none.
  return byCidr.size === 0 ? [{ cidr: '192.168.0.0/24', ip_version: 4 }] : [...byCidr.values()];
}

async function takeNetwork(
  cloud: Cloud,
  key: string,
  source: string,
  subnets: readonly TestSubnet[],
): Promise<NeutronNetwork> {
  const name = `${PREFIX}${key}-${digest(source, 6)}`;
  const network = await findOrCreate(
    async () => (await cloud.network.networks({ name }))[0] ?? null,
    async () => {
      const made = await cloud.network.createNetwork({ name, description: `Godwit test failover (${tagOf(key)})` });
      await cloud.network.setTags('networks', made.id, [tagOf(key)]);
      return made;
    },
  );
  const present = await cloud.network.subnets({ network_id: network.id });
  for (const { cidr, ip_version } of subnets) {
    if (present.some((subnet) => subnet.cidr === cidr)) continue;
    await cloud.network.createSubnet({
      name,
      network_id: network.id,
      cidr,
      ip_version,
      gateway_ip: null,
      enable_dhcp: true,
    });
  }
  return network;
}

/** Removes the networks of a test. Gone already is success. */
export async function removeTestNetworks(cloud: Cloud, key: string): Promise<void> {
  const tag = tagOf(key);
  for (const network of await cloud.network.networks({ tags: tag })) {
    if (!network.name.startsWith(`${PREFIX}${key}-`)) continue;
    for (const port of await cloud.network.ports({ network_id: network.id })) {
      if (!port.device_owner?.startsWith('network:')) await orNull(cloud.network.delete('ports', port.id));
    }
    await orNull(cloud.network.delete('networks', network.id));
  }
}
