import type { Cloud } from './client/cloud.ts';
import { tagOf } from './mark.ts';
import { findOrCreate } from './wait.ts';

/**
 * A security group that lets SSH in, of one minion or of a pool of them. Returns its id.
 *
 * @param cidr where SSH may come from; absent: anywhere
 */
export async function takeGroup(cloud: Cloud, name: string, key: string, cidr = '0.0.0.0/0'): Promise<string> {
  const project = await cloud.projectId();
  const group = await findOrCreate(
    async () => (await cloud.network.securityGroups({ name, project_id: project }))[0] ?? null,
    async () => {
      const made = await cloud.network.createSecurityGroup(name, `SSH to a Godwit minion (${tagOf(key)})`);
      await cloud.network.setTags('security-groups', made.id, [tagOf(key)]);
      return made;
    },
  );
  const open = (group.security_group_rules ?? []).some(
    (rule) => rule.direction === 'ingress' && rule.protocol === 'tcp',
  );
  if (!open) {
    await cloud.network.createRule({
      security_group_id: group.id,
      direction: 'ingress',
      ethertype: cidr.includes(':') ? 'IPv6' : 'IPv4',
      protocol: 'tcp',
      port_range_min: 22,
      port_range_max: 22,
      remote_ip_prefix: cidr,
    });
  }
  return group.id;
}
