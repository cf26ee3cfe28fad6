import { GodwitError, type InstanceNic } from '@godwit/domain';
import type { ProviderContext } from '@godwit/provider';
import type { Cloud } from './client/cloud.ts';
import type { NeutronNetwork, NewPort, Port } from './client/network.ts';
import type { DestinationEnvironment } from './environment.ts';
import type { ServerArtefact } from './inventory.ts';
import { PREFIX, tagOf } from './mark.ts';
import { findOrCreate, orNull } from './wait.ts';

export interface WantedPort {
  nic: InstanceNic;
  network: NeutronNetwork;
  /** Ids. */
  securityGroups: string[];
}

/** Ports of a deployment, in the order of the NICs; addresses kept where they can be. What could not be kept is reported. */
export async function takePorts(
  cloud: Cloud,
  ctx: ProviderContext,
  key: string,
  wanted: readonly WantedPort[],
  keep: DestinationEnvironment['keep_addresses'],
  artefact: ServerArtefact | null,
): Promise<Port[]> {
  const ports: Port[] = [];
  for (const [index, one] of wanted.entries()) {
    const name = `${PREFIX}${key}-${index}`;
    const known = artefact?.ports.find(({ id }) => id === one.nic.id);
    const plain: NewPort = {
      name,
      network_id: one.network.id,
      ...(known?.port_security_enabled === false
        ? { port_security_enabled: false }
        : { security_groups: one.securityGroups }),
      ...(known !== undefined && known.allowed_address_pairs.length > 0
        ? { allowed_address_pairs: known.allowed_address_pairs }
        : {}),
    };
    ports.push(
      await findOrCreate(
        async () =>
          (await cloud.network.ports({ name })).find(({ tags }) => tags?.includes(tagOf(key)) !== false) ?? null,
        async () => {
          const made = await createPort(cloud, ctx, plain, one.nic, keep ?? 'if_free');
          await cloud.network.setTags('ports', made.id, [tagOf(key)]);
          return made;
        },
      ),
    );
  }
  return ports;
}

interface Identity {
  mac: string | null;
  ips: string[];
}

async function createPort(
  cloud: Cloud,
  ctx: ProviderContext,
  plain: NewPort,
  nic: InstanceNic,
  keep: 'if_free' | 'always' | 'never',
): Promise<Port> {
  const wish: Identity =
    keep === 'never' ? { mac: null, ips: [] } : { mac: nic.mac_address, ips: nic.ip_addresses ?? [] };
  let rest = plain;
  for (;;) {
    try {
      return await cloud.network.createPort({
        ...rest,
        ...(wish.mac === null ? {} : { mac_address: wish.mac }),
        ...(wish.ips.length === 0 ? {} : { fixed_ips: wish.ips.map((ip_address) => ({ ip_address })) }),
      });
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      const lost = whatToDrop(error, wish, rest);
      if (lost === null) throw error;
      if (keep === 'always' && lost !== 'pairs') {
        const what = lost === 'mac' ? `MAC address ${wish.mac}` : `address ${wish.ips.join(', ')}`;
        throw new GodwitError(
          'CONFLICT',
          `${what} of NIC ${nic.id}`,
          { reason: String(error.details.reason) },
          { cause: error },
        );
      }
      ctx.progress(sayLost(lost, wish, nic, String(error.details.reason)));
      if (lost === 'mac') wish.mac = null;
      else if (lost === 'ips') wish.ips = [];
      else {
        const { allowed_address_pairs: _, ...without } = rest;
        rest = without;
      }
    }
  }
}

function sayLost(lost: 'mac' | 'ips' | 'pairs', wish: Identity, nic: InstanceNic, reason: string): string {
  if (lost === 'pairs') return `NIC ${nic.id} loses its allowed address pairs: ${reason}`;
  const what = lost === 'mac' ? `MAC address ${wish.mac}` : `address ${wish.ips.join(', ')}`;
  return `NIC ${nic.id} gets another ${what.split(' ').slice(0, -1).join(' ')} than ${what.split(' ').at(-1)}: ${reason}`;
}

/** What of a port's identity the cloud refused; null when the refusal is about something else. */
export function whatToDrop(
  error: GodwitError,
  wish: { mac: string | null; ips: readonly string[] },
  port: Pick<NewPort, 'allowed_address_pairs'>,
): 'mac' | 'ips' | 'pairs' | null {
  if (!['CONFLICT', 'FORBIDDEN', 'PLATFORM_ERROR', 'NOT_FOUND'].includes(error.code)) return null;
  const reason = String(error.details.reason);
  if (/address.?pair/i.test(reason) && port.allowed_address_pairs !== undefined) return 'pairs';
  if (wish.mac !== null && /\bmac/i.test(reason)) return 'mac';
  if (wish.ips.length > 0 && /\bip\b|ip.?address|fixed.?ip|subnet/i.test(reason)) return 'ips';
  // A policy names the rule and not the field that it is about.
  if (error.code !== 'FORBIDDEN') return null;
  return wish.mac !== null ? 'mac' : wish.ips.length > 0 ? 'ips' : null;
}

/** Removes ports of a key. Gone already is success. */
export async function removePorts(cloud: Cloud, key: string): Promise<void> {
  for (const port of await cloud.network.ports({ tags: tagOf(key) })) {
    if (!port.name.startsWith(`${PREFIX}${key}-`)) continue;
    for (const floating of await cloud.network.floatingIps({ port_id: port.id })) {
      if (floating.tags?.includes(tagOf(key)) !== false) await orNull(cloud.network.delete('floatingips', floating.id));
    }
    await orNull(cloud.network.delete('ports', port.id));
  }
}
