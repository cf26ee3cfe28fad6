import { CloudApi, CloudApiError, type Credentials, type Json, type ServiceType } from './cloud-api.ts';
import type { Cloud } from './clouds.ts';

/** What is listed of each kind of thing: where, under which key, and what of it must stay as it was. */
interface Kind {
  kind: string;
  service: ServiceType;
  route: string;
  key: string;
  /** Fields that belong to the comparison besides id and name. */
  fields: string[];
}

const kinds: Kind[] = [
  {
    kind: 'server',
    service: 'compute',
    route: '/servers/detail?all_tenants=1',
    key: 'servers',
    fields: ['status', 'metadata', 'tags', 'os-extended-volumes:volumes_attached', 'key_name', 'locked'],
  },
  {
    kind: 'server group',
    service: 'compute',
    route: '/os-server-groups?all_projects=1',
    key: 'server_groups',
    fields: ['members'],
  },
  {
    kind: 'flavor',
    service: 'compute',
    route: '/flavors/detail?is_public=None',
    key: 'flavors',
    fields: ['ram', 'vcpus', 'disk'],
  },
  {
    kind: 'volume',
    service: 'volumev3',
    route: '/volumes/detail?all_tenants=1',
    key: 'volumes',
    fields: ['status', 'size', 'metadata', 'bootable', 'volume_type', 'attachments'],
  },
  {
    kind: 'snapshot',
    service: 'volumev3',
    route: '/snapshots/detail?all_tenants=1',
    key: 'snapshots',
    fields: ['status', 'volume_id', 'metadata'],
  },
  {
    kind: 'attachment',
    service: 'volumev3',
    route: '/attachments/detail?all_tenants=1',
    key: 'attachments',
    fields: ['status', 'volume_id', 'instance'],
  },
  {
    kind: 'volume group',
    service: 'volumev3',
    route: '/groups/detail?all_tenants=1',
    key: 'groups',
    fields: ['status'],
  },
  {
    kind: 'group snapshot',
    service: 'volumev3',
    route: '/group_snapshots/detail?all_tenants=1',
    key: 'group_snapshots',
    fields: ['status'],
  },
  { kind: 'volume type', service: 'volumev3', route: '/types?is_public=None', key: 'volume_types', fields: [] },
  {
    kind: 'volume transfer',
    service: 'volumev3',
    route: '/volume-transfers/detail?all_tenants=1',
    key: 'transfers',
    fields: [],
  },
  {
    kind: 'image',
    service: 'image',
    route: '/images?visibility=all&limit=100',
    key: 'images',
    fields: ['status', 'size'],
  },
  { kind: 'network', service: 'network', route: '/networks', key: 'networks', fields: ['subnets', 'shared'] },
  {
    kind: 'subnet',
    service: 'network',
    route: '/subnets',
    key: 'subnets',
    fields: ['cidr', 'allocation_pools', 'enable_dhcp'],
  },
  {
    kind: 'port',
    service: 'network',
    route: '/ports',
    key: 'ports',
    fields: ['mac_address', 'fixed_ips', 'device_id', 'device_owner', 'security_groups', 'port_security_enabled'],
  },
  { kind: 'router', service: 'network', route: '/routers', key: 'routers', fields: ['external_gateway_info'] },
  {
    kind: 'floating IP',
    service: 'network',
    route: '/floatingips',
    key: 'floatingips',
    fields: ['floating_ip_address', 'port_id'],
  },
  {
    kind: 'security group',
    service: 'network',
    route: '/security-groups',
    key: 'security_groups',
    fields: ['description'],
  },
  {
    kind: 'security group rule',
    service: 'network',
    route: '/security-group-rules',
    key: 'security_group_rules',
    fields: ['direction', 'protocol', 'port_range_min', 'port_range_max', 'security_group_id'],
  },
  { kind: 'project', service: 'identity', route: '/projects', key: 'projects', fields: ['enabled'] },
  { kind: 'user', service: 'identity', route: '/users', key: 'users', fields: ['enabled'] },
];

/** Everything in a cloud, one line per thing, sorted: equal texts mean that nothing was made, changed or removed. */
export type Listing = string[];

export interface ListingScope {
  /** Only what belongs to this project; flavors and volume types, which belong to nobody, are always listed. */
  project?: string;
  /** Whose key pairs and application credentials are listed too: they are seen by their owner alone. */
  users?: Credentials[];
}

/** Lists a cloud as its administrator. */
export async function listCloud(cloud: Cloud, scope: ListingScope = {}): Promise<Listing> {
  const lists = await Promise.all(
    kinds.map(async ({ kind, service, route, key, fields }) => {
      const items = await as(cloud.adminCredentials, (admin) => admin.list(service, route, key));
      // Not a project's, and without a word of whose they are.
      if (scope.project !== undefined && (kind === 'project' || kind === 'user')) return [];
      return items.filter((item) => isIn(item, scope.project)).map((item) => line(kind, item, fields));
    }),
  );
  const own = await Promise.all((scope.users ?? []).map(ownedBy));
  const all = [...lists.flat(), ...own.flat()].sort();
  if (scope.project === undefined) return all;
  const volumes = new Set(all.filter((one) => one.startsWith('volume | ')).map((one) => one.split(' | ')[1]));
  return all.filter((one) => !one.startsWith('attachment | ') || volumes.has(/volume_id="([^"]*)"/.exec(one)?.[1]));
}

const logins = new Map<string, Promise<CloudApi>>();

/** Looks as a user, with the token of the last look: each new one is checked by each service anew, which takes seconds. */
async function as<T>(credentials: Credentials, look: (api: CloudApi) => Promise<T>): Promise<T> {
  const { authUrl, domain, project, user } = credentials;
  const name = JSON.stringify([authUrl, domain, project, user]);
  const before = logins.get(name);
  const login = before ?? CloudApi.login(credentials);
  logins.set(name, login);
  try {
    return await look(await login);
  } catch (error) {
    if (logins.get(name) === login) logins.delete(name);
    const ended = before !== undefined && error instanceof CloudApiError && error.status === 401;
    if (!ended) throw error;
    return as(credentials, look);
  }
}

/** What only its owner can list. */
async function ownedBy(credentials: Credentials): Promise<string[]> {
  const keys = await as(credentials, (api) => api.list<{ keypair: Json }>('compute', '/os-keypairs', 'keypairs'));
  const applications = await as(credentials, (api) =>
    api.list('identity', `/users/${api.userId}/application_credentials`, 'application_credentials'),
  );
  return [
    ...keys.map(({ keypair }) => line('key pair', keypair, ['fingerprint'])),
    ...applications.map((item) => line('application credential', item, [])),
  ];
}

function isIn(item: Json, project: string | undefined): boolean {
  // The cloud's own: comes when the first port of a network does.
  if (item.device_owner === 'network:dhcp') return false;
  if (project === undefined) return true;
  // Other projects' floating IPs and routers: these ports belong to nobody.
  if (item.device_owner === 'network:floatingip' || item.device_owner === 'network:router_gateway') return false;
  const owners = [
    'project_id',
    'tenant_id',
    'owner',
    'os-vol-tenant-attr:tenant_id',
    'os-extended-snapshot-attributes:project_id',
  ].map((field) => item[field]);
  return owners.includes(project) || owners.every((owner) => owner === undefined || owner === '');
}

function line(kind: string, item: Json, fields: string[]): string {
  const facts = fields.map((field) => `${field}=${JSON.stringify(ordered(item[field])) ?? ''}`);
  return [kind, String(item.id ?? item.name), String(item.name ?? ''), ...facts].join(' | ');
}

/** The same value with object keys and lists of things in order, without times. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !name.endsWith('_at'))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, part]) => [name, ordered(part)]),
  );
}

/** What came and what went between two listings. */
export function difference(before: Listing, after: Listing): { came: string[]; went: string[] } {
  const old = new Set(before);
  const now = new Set(after);
  return { came: after.filter((item) => !old.has(item)), went: before.filter((item) => !now.has(item)) };
}
