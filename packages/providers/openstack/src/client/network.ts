import { type Static, Type } from 'typebox';
import { type Query, Service } from './service.ts';
import type { Session } from './session.ts';

const PAGE = 200;
const nullable = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
const tags = Type.Optional(Type.Array(Type.String()));

const networkSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  subnets: Type.Array(Type.String()),
  'router:external': Type.Optional(Type.Boolean()),
  shared: Type.Optional(Type.Boolean()),
  mtu: nullable(Type.Integer()),
  tenant_id: Type.Optional(Type.String()),
  tags,
});
export type NeutronNetwork = Static<typeof networkSchema>;

const subnetSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  network_id: Type.String(),
  cidr: Type.String(),
  ip_version: Type.Integer(),
  gateway_ip: nullable(Type.String()),
  enable_dhcp: Type.Optional(Type.Boolean()),
});
export type Subnet = Static<typeof subnetSchema>;

const portSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  network_id: Type.String(),
  mac_address: Type.String(),
  status: Type.Optional(Type.String()),
  fixed_ips: Type.Array(Type.Object({ subnet_id: Type.String(), ip_address: Type.String() })),
  device_id: Type.Optional(Type.String()),
  device_owner: Type.Optional(Type.String()),
  security_groups: Type.Optional(Type.Array(Type.String())),
  port_security_enabled: Type.Optional(Type.Boolean()),
  'binding:vnic_type': Type.Optional(Type.String()),
  allowed_address_pairs: Type.Optional(
    Type.Array(Type.Object({ ip_address: Type.String(), mac_address: Type.Optional(Type.String()) })),
  ),
  tags,
});
export type Port = Static<typeof portSchema>;

const securityGroupSchema = Type.Object({
  id: Type.String(),
  name: Type.String(),
  tags,
  security_group_rules: Type.Optional(
    Type.Array(
      Type.Object({
        direction: Type.String(),
        protocol: nullable(Type.String()),
        port_range_min: nullable(Type.Integer()),
      }),
    ),
  ),
});
export type SecurityGroup = Static<typeof securityGroupSchema>;

const floatingIpSchema = Type.Object({
  id: Type.String(),
  floating_ip_address: Type.String(),
  floating_network_id: Type.String(),
  port_id: nullable(Type.String()),
  fixed_ip_address: nullable(Type.String()),
  status: Type.Optional(Type.String()),
  description: nullable(Type.String()),
  tags,
});
export type FloatingIp = Static<typeof floatingIpSchema>;

/** Body of a new port, in Neutron's names. */
export interface NewPort {
  name: string;
  network_id: string;
  mac_address?: string;
  fixed_ips?: { ip_address?: string; subnet_id?: string }[];
  security_groups?: string[];
  allowed_address_pairs?: { ip_address: string; mac_address?: string }[];
  port_security_enabled?: boolean;
}

/** Kinds of things that carry tags. */
export type Tagged = 'networks' | 'subnets' | 'ports' | 'security-groups' | 'floatingips';

/** Neutron. */
export class Networking extends Service {
  constructor(session: Session, signal: AbortSignal, label: string) {
    super(session, 'network', signal, label);
  }

  async networks(query: Query = {}): Promise<NeutronNetwork[]> {
    return this.all(
      Type.Object({ networks: Type.Array(networkSchema) }),
      { method: 'GET', path: '/networks', query, object: this.name('networks'), pageSize: PAGE },
      ({ networks }) => networks,
    );
  }

  async createNetwork(network: { name: string; description: string }): Promise<NeutronNetwork> {
    const object = this.name(`network ${network.name}`);
    const request = { method: 'POST', path: '/networks', json: { network }, object } as const;
    return (await this.read(Type.Object({ network: networkSchema }), request)).network;
  }

  async subnets(query: Query = {}): Promise<Subnet[]> {
    return this.all(
      Type.Object({ subnets: Type.Array(subnetSchema) }),
      { method: 'GET', path: '/subnets', query, object: this.name('subnets'), pageSize: PAGE },
      ({ subnets }) => subnets,
    );
  }

  async createSubnet(subnet: {
    name: string;
    network_id: string;
    cidr: string;
    ip_version: number;
    gateway_ip: null;
    enable_dhcp: boolean;
  }): Promise<Subnet> {
    const object = this.name(`subnet ${subnet.name}`);
    const request = { method: 'POST', path: '/subnets', json: { subnet }, object } as const;
    return (await this.read(Type.Object({ subnet: subnetSchema }), request)).subnet;
  }

  async ports(query: Query): Promise<Port[]> {
    return this.all(
      Type.Object({ ports: Type.Array(portSchema) }),
      { method: 'GET', path: '/ports', query, object: this.name('ports'), pageSize: PAGE },
      ({ ports }) => ports,
    );
  }

  async createPort(port: NewPort): Promise<Port> {
    const request = { method: 'POST', path: '/ports', json: { port }, object: this.name(`port ${port.name}`) } as const;
    return (await this.read(Type.Object({ port: portSchema }), request)).port;
  }

  async securityGroups(query: Query = {}): Promise<SecurityGroup[]> {
    return this.all(
      Type.Object({ security_groups: Type.Array(securityGroupSchema) }),
      { method: 'GET', path: '/security-groups', query, object: this.name('security groups'), pageSize: PAGE },
      (answer) => answer.security_groups,
    );
  }

  async createSecurityGroup(name: string, description: string): Promise<SecurityGroup> {
    const json = { security_group: { name, description } };
    const object = this.name(`security group ${name}`);
    const request = { method: 'POST', path: '/security-groups', json, object } as const;
    return (await this.read(Type.Object({ security_group: securityGroupSchema }), request)).security_group;
  }

  async createRule(rule: Record<string, string | number>): Promise<void> {
    const object = this.name('security group rule');
    await this.send({ method: 'POST', path: '/security-group-rules', json: { security_group_rule: rule }, object });
  }

  async floatingIps(query: Query): Promise<FloatingIp[]> {
    return this.all(
      Type.Object({ floatingips: Type.Array(floatingIpSchema) }),
      { method: 'GET', path: '/floatingips', query, object: this.name('floating IPs'), pageSize: PAGE },
      ({ floatingips }) => floatingips,
    );
  }

  async createFloatingIp(networkId: string, portId: string, description: string): Promise<FloatingIp> {
    const json = { floatingip: { floating_network_id: networkId, port_id: portId, description } };
    const request = { method: 'POST', path: '/floatingips', json, object: this.name('floating IP') } as const;
    return (await this.read(Type.Object({ floatingip: floatingIpSchema }), request)).floatingip;
  }

  /** Replaces all tags. */
  async setTags(kind: Tagged, id: string, tagList: string[]): Promise<void> {
    const object = this.name(`tags of ${id}`);
    await this.send({ method: 'PUT', path: `/${kind}/${id}/tags`, json: { tags: tagList }, object });
  }

  async delete(kind: Tagged, id: string): Promise<void> {
    await this.send({ method: 'DELETE', path: `/${kind}/${id}`, object: this.name(`${kind.slice(0, -1)} ${id}`) });
  }
}
