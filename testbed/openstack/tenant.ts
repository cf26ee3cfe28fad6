import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CloudApi, CloudApiError, type Credentials, type Json, oneRequest } from './cloud-api.ts';
import type { Cloud } from './clouds.ts';

const exec = promisify(execFile);
/** Test value; the clouds listen on the loopback interface alone. */
const PASSWORD = 'testbed-user';

export interface TenantOptions {
  /** Roles of its user in its project. Default `['member']`: the least that can own servers and volumes. */
  roles?: string[];
  /** Its network, so that fixed addresses of one cloud fit the other. Default 192.168.77.0/24. */
  cidr?: string;
}

/** A project with an ordinary user, a network that leads out, a key, and a security group that lets SSH in. */
export interface Tenant {
  readonly cloud: Cloud;
  /** Name of the project, of the user and of all that is made for them. */
  readonly name: string;
  readonly credentials: Credentials;
  /** Logged in as its user. */
  readonly api: CloudApi;
  /** Logged in as the cloud's administrator. */
  readonly admin: CloudApi;
  readonly projectId: string;
  readonly userId: string;
  readonly network: { id: string; name: string; subnet: string };
  /** A network that leads nowhere: no router. */
  readonly isolated: { id: string; name: string; subnet: string };
  readonly securityGroup: string;
  readonly keyName: string;
  /** Private key file of `keyName`; mode 0600. */
  readonly keyFile: string;
  /** Another user in the same project (or elsewhere, by `project`), with these roles; gone with the tenant. */
  addUser(name: string, roles: string[], project?: string): Promise<Credentials>;
  /** Another project; gone with the tenant. */
  addProject(name: string): Promise<string>;
  grant(user: string, role: string, project?: string): Promise<void>;
  revoke(user: string, role: string, project?: string): Promise<void>;
  /** Makes a token of anybody worthless at once. */
  revokeToken(token: string): Promise<void>;
  /** Makes every token of a user worthless, as an operator does who locks him out and lets him in again. */
  revokeTokensOf(user: string): Promise<void>;
  /** Cinder's and Nova's limits: `{ volumes: 2 }`; -1 is no limit. */
  quota(service: 'volumev3' | 'compute', limits: Record<string, number>): Promise<void>;
  /** Removes everything in its projects, whoever made it, then the projects and users themselves. */
  remove(): Promise<void>;
}

/** Makes a tenant; about 5 s. */
export async function createTenant(cloud: Cloud, label: string, options: TenantOptions = {}): Promise<Tenant> {
  const admin = await cloud.admin();
  const name = `${label}-${randomBytes(3).toString('hex')}`;
  const folder = await mkdtemp(path.join(tmpdir(), 'gwten-'));
  const projects: string[] = [];
  const users: string[] = [];
  const addProject = async (project: string): Promise<string> => {
    const body = { project: { name: project, domain_id: 'default' } };
    const { id } = await admin.one<{ id: string }>('identity', 'POST', '/projects', 'project', body);
    projects.push(id);
    return id;
  };
  const roleId = async (role: string): Promise<string> => {
    const found = await admin.list<{ id: string }>('identity', `/roles?name=${role}`, 'roles');
    if (found[0] === undefined) throw new Error(`no role ${role}`);
    return found[0].id;
  };
  const projectId = await addProject(name);
  const assignment = async (user: string, role: string, project: string): Promise<string> =>
    `/projects/${project}/users/${user}/roles/${await roleId(role)}`;
  const grant = async (user: string, role: string, project = projectId): Promise<void> => {
    await admin.call('identity', 'PUT', await assignment(user, role, project));
  };
  const addUser = async (user: string, roles: string[], project = projectId): Promise<Credentials & { id: string }> => {
    const { id } = await admin.one<{ id: string }>('identity', 'POST', '/users', 'user', {
      user: { name: user, password: PASSWORD, domain_id: 'default' },
    });
    users.push(id);
    for (const role of roles) await grant(id, role, project);
    const found = await admin.one<{ name: string }>('identity', 'GET', `/projects/${project}`, 'project');
    return { ...cloud.adminCredentials, user, password: PASSWORD, project: found.name, id };
  };
  const { id: userId, ...credentials } = await addUser(name, options.roles ?? ['member']);
  const api = await CloudApi.login(credentials);

  const keyFile = path.join(folder, 'key');
  await exec('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile]);
  const keypair = { name, public_key: (await readFile(`${keyFile}.pub`, 'utf8')).trim() };
  await api.call('compute', 'POST', '/os-keypairs', { keypair });

  const makeNetwork = async (network: string, cidr: string, gateway: boolean): Promise<Tenant['network']> => {
    const { id } = await api.one<{ id: string }>('network', 'POST', '/networks', 'network', {
      network: { name: network },
    });
    const subnet = await api.one<{ id: string }>('network', 'POST', '/subnets', 'subnet', {
      subnet: { name: network, network_id: id, ip_version: 4, cidr, ...(gateway ? {} : { gateway_ip: null }) },
    });
    return { id, name: network, subnet: subnet.id };
  };
  const network = await makeNetwork(name, options.cidr ?? '192.168.77.0/24', true);
  const isolated = await makeNetwork(`${name}-isolated`, options.cidr ?? '192.168.77.0/24', false);
  const publicNetwork = (await admin.list<{ id: string }>('network', '/networks?name=public', 'networks'))[0]?.id;
  const router = await api.one<{ id: string }>('network', 'POST', '/routers', 'router', {
    router: { name, external_gateway_info: { network_id: publicNetwork } },
  });
  await api.call('network', 'PUT', `/routers/${router.id}/add_router_interface`, { subnet_id: network.subnet });
  const group = await api.one<{ id: string }>('network', 'POST', '/security-groups', 'security_group', {
    security_group: { name, description: 'SSH and ping' },
  });
  for (const rule of [{ protocol: 'tcp', port_range_min: 22, port_range_max: 22 }, { protocol: 'icmp' }]) {
    const body = {
      security_group_rule: { security_group_id: group.id, direction: 'ingress', ethertype: 'IPv4', ...rule },
    };
    await api.call('network', 'POST', '/security-group-rules', body);
  }

  // The default groups appear when somebody first looks: not between a test's two listings.
  await admin.list('network', '/security-groups', 'security_groups');

  const quota = async (service: 'volumev3' | 'compute', limits: Record<string, number>): Promise<void> => {
    await admin.call(service, 'PUT', `/os-quota-sets/${projectId}`, { quota_set: limits });
  };
  return {
    cloud,
    name,
    credentials,
    api,
    admin,
    projectId,
    userId,
    network,
    isolated,
    securityGroup: group.id,
    keyName: name,
    keyFile,
    addUser: async (user, roles, project) => {
      const { id: _, ...made } = await addUser(user, roles, project);
      return made;
    },
    addProject,
    grant,
    revoke: async (user, role, project = projectId) => {
      await admin.call('identity', 'DELETE', await assignment(user, role, project));
    },
    revokeToken: async (token) => {
      const headers = { ...oneRequest, 'x-auth-token': admin.token, 'x-subject-token': token };
      const answer = await fetch(`${cloud.authUrl}/auth/tokens`, { method: 'DELETE', headers });
      if (answer.status !== 204) throw new CloudApiError('DELETE /auth/tokens', answer.status, await answer.text());
    },
    revokeTokensOf: async (user) => {
      for (const enabled of [false, true])
        await admin.call('identity', 'PATCH', `/users/${user}`, { user: { enabled } });
    },
    quota,
    remove: async () => {
      for (const project of projects) await emptyProject(admin, project);
      for (const user of users) await admin.remove('identity', `/users/${user}`);
      for (const project of projects) await admin.remove('identity', `/projects/${project}`);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Deletes all that belongs to a project, as an administrator, in the order that dependencies want. */
export async function emptyProject(admin: CloudApi, project: string): Promise<void> {
  const each = async (items: Json[], act: (item: Json) => Promise<void>): Promise<void> => {
    await Promise.all(items.map(act));
  };
  const mine = (items: Json[]): Json[] =>
    items.filter((item) =>
      [
        item.project_id,
        item.tenant_id,
        item.owner,
        item['os-vol-tenant-attr:tenant_id'],
        item['os-extended-snapshot-attributes:project_id'],
      ].includes(project),
    );
  const servers = await admin.list('compute', `/servers/detail?all_tenants=1&project_id=${project}`, 'servers');
  await each(servers, async ({ id }) => {
    await admin.remove('compute', `/servers/${id}`);
    await admin.until(`server ${id} gone`, ['compute', `/servers/${id}`, 'server'], (server) => server === null);
  });
  const groups = await admin.list('compute', '/os-server-groups?all_projects=1', 'server_groups');
  await each(mine(groups), ({ id }) => admin.remove('compute', `/os-server-groups/${id}`));
  for (const kind of ['snapshots', 'volumes'] as const) {
    const key = kind.slice(0, -1);
    const items = mine(await admin.list('volumev3', `/${kind}/detail?all_tenants=1`, kind));
    // One after the other: overlays of one volume depend on each other.
    for (const { id } of items) {
      const reset = { status: 'available', ...(kind === 'volumes' ? { attach_status: 'detached' } : {}) };
      await admin.call('volumev3', 'POST', `/${kind}/${id}/action`, { 'os-reset_status': reset });
      await admin.remove('volumev3', `/${kind}/${id}`);
      await admin.until(`${key} ${id} gone`, ['volumev3', `/${kind}/${id}`, key], (item) => item === null);
    }
  }
  await each(await admin.list('image', `/images?owner=${project}&visibility=all`, 'images'), async ({ id }) => {
    await admin.remove('image', `/images/${id}`);
  });
  await each(await admin.list('network', `/floatingips?project_id=${project}`, 'floatingips'), ({ id }) =>
    admin.remove('network', `/floatingips/${id}`),
  );
  await each(await admin.list('network', `/routers?project_id=${project}`, 'routers'), async ({ id }) => {
    const ports = await admin.list('network', `/ports?device_id=${id}&device_owner=network:router_interface`, 'ports');
    for (const port of ports) {
      await admin.call('network', 'PUT', `/routers/${id}/remove_router_interface`, { port_id: port.id });
    }
    await admin.remove('network', `/routers/${id}`);
  });
  const ports = await admin.list('network', `/ports?project_id=${project}`, 'ports');
  await each(
    ports.filter((port) => !String(port.device_owner).startsWith('network:')),
    ({ id }) => admin.remove('network', `/ports/${id}`),
  );
  await each(await admin.list('network', `/networks?project_id=${project}`, 'networks'), ({ id }) =>
    admin.remove('network', `/networks/${id}`),
  );
  await each(
    await admin.list('network', `/security-groups?project_id=${project}`, 'security_groups'),
    async ({ id }) => {
      await admin.remove('network', `/security-groups/${id}`).catch((error: unknown) => {
        // The default group is made again as often as somebody looks at it.
        if (!(error instanceof CloudApiError)) throw error;
      });
    },
  );
}
