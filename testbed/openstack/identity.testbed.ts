import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { freePort } from '../free-port.ts';
import { CloudApi, type Credentials } from './cloud-api.ts';
import { runningClouds } from './clouds.ts';
import { createTenant, type Tenant } from './tenant.ts';

/** A whole Godwit behind a real Keystone and Barbican: who is let in, and where connections may lie. */

const repository = path.join(import.meta.dirname, '../..');
const home = mkdtempSync(path.join(tmpdir(), 'gwks-'));

let one: Tenant;
let other: Tenant;
let service: CloudApi;
let server: ChildProcess;
let url: string;
/** The way from Godwit to Keystone, which a test can break. */
let road: Road;

beforeAll(async () => {
  const { src } = await runningClouds(inject('cloudsInstance'));
  one = await createTenant(src, 'gwid');
  other = await createTenant(src, 'gwid2');
  // The service account may validate tokens; it has no role in the tenants' projects.
  const account = await one.addUser(`${one.name}-godwit`, ['admin'], await one.addProject(`${one.name}-service`));
  service = await CloudApi.login({ ...account, project: `${one.name}-service` });
  const credential = await service.one<{ id: string; secret: string }>(
    'identity',
    'POST',
    `/users/${service.userId}/application_credentials`,
    'application_credential',
    { application_credential: { name: 'godwit' } },
  );
  road = await openRoad(src.authUrl);
  writeFileSync(
    path.join(home, 'keystone.yaml'),
    `auth_url: ${road.url}\napplication_credential_id: ${credential.id}\napplication_credential_secret: ${credential.secret}\n`,
    { mode: 0o600 },
  );
  mkdirSync(path.join(home, 'vms'));
  writeFileSync(path.join(home, 'vms', 'web01.raw'), Buffer.alloc(65_536));
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  server = spawn(process.execPath, [path.join(repository, 'packages/server/src/main.ts'), 'all'], {
    env: {
      ...process.env,
      GODWIT_HOME: home,
      GODWIT_LISTEN: `127.0.0.1:${port}`,
      GODWIT_AUTH: 'keystone',
      DATABASE_URL: '',
    },
    stdio: 'ignore',
  });
  await until('it is ready', async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.status === 200);
});
afterAll(async () => {
  if (server?.exitCode === null) {
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGTERM');
    await ended;
  }
  road?.close();
  await one?.remove();
  await other?.remove();
  rmSync(home, { recursive: true, force: true });
});

interface Road {
  /** Where Keystone is at this end. */
  url: string;
  /** Resets the next so many connections as soon as a request came through them. */
  breakNext(connections: number): void;
  /** Connections that were reset. */
  broken(): number;
  close(): void;
}

async function openRoad(authUrl: string): Promise<Road> {
  const { hostname, port, pathname } = new URL(authUrl);
  let toBreak = 0;
  let broken = 0;
  const relay = createServer((near) => {
    near.on('error', () => undefined);
    if (toBreak > 0) {
      toBreak -= 1;
      near.once('data', () => {
        broken += 1;
        near.resetAndDestroy();
      });
      return;
    }
    const far = connect(Number(port), hostname);
    far.on('error', () => near.destroy());
    near.on('close', () => far.destroy());
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(relay.address() as AddressInfo).port}${pathname}`,
    breakNext: (connections) => {
      toBreak = connections;
    },
    broken: () => broken,
    close: () => relay.close(),
  };
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await holds()) return;
    await sleep(500);
  }
  throw new Error(`not in time: ${what}`);
}

async function call(token: string, method: string, route: string, body?: object) {
  const answer = await fetch(`${url}/v1${route}`, {
    method,
    headers: { 'x-auth-token': token, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    text,
    body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}

const endpoint = (name: string, connection_info: object) => ({ endpoint: { name, type: 'image', connection_info } });
const idOf = (answer: { body: Record<string, unknown> }, noun: string): string =>
  (answer.body[noun] as { id: string }).id;

/** The command line, signed in as somebody of the cloud and by nothing else. */
async function godwit({ authUrl, user, password, project, domain, region }: Credentials, ...words: string[]) {
  const program = path.join(repository, 'packages/cli/bin/godwit.js');
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...words], {
    env: {
      PATH: process.env.PATH,
      HOME: home,
      GODWIT_HOME: path.join(home, 'nobody'),
      OS_AUTH_URL: authUrl,
      OS_USERNAME: user,
      OS_PASSWORD: password,
      OS_PROJECT_NAME: project,
      OS_USER_DOMAIN_NAME: domain,
      OS_PROJECT_DOMAIN_NAME: domain,
      OS_REGION_NAME: region,
    },
  });
  return stdout;
}

/** What the catalog says of Godwit: `type interface URL`. */
async function registered(admin: CloudApi): Promise<string[]> {
  const lines: string[] = [];
  for (const type of ['migration', 'coriolis-logger']) {
    for (const { id } of await admin.list<{ id: string }>('identity', `/services?type=${type}`, 'services')) {
      const route = `/endpoints?service_id=${id}`;
      const endpoints = await admin.list<{ interface: string; url: string }>('identity', route, 'endpoints');
      lines.push(...endpoints.map((endpoint) => `${type} ${endpoint.interface} ${endpoint.url}`));
    }
  }
  return lines.sort();
}

async function unregister(admin: CloudApi): Promise<void> {
  for (const type of ['migration', 'coriolis-logger']) {
    for (const { id } of await admin.list<{ id: string }>('identity', `/services?type=${type}`, 'services')) {
      await admin.remove('identity', `/services/${id}`);
    }
  }
}

describe('behind a Keystone', () => {
  test('it is entered into the catalog once, corrected by another run, and found there by tenants', async () => {
    const { admin, cloud } = one;
    try {
      const root = (
        await godwit(cloud.adminCredentials, 'keystone', 'register', '--url', 'http://127.0.0.1:9/')
      ).trim();
      expect(root).toBe(`registered http://127.0.0.1:9 in ${cloud.region}`);
      await godwit(cloud.adminCredentials, 'keystone', 'register', '--url', url);
      const faces = ['admin', 'internal', 'public'];
      expect(await registered(admin)).toEqual([
        ...faces.map((face) => `coriolis-logger ${face} ${url}/logs/api/v1`),
        ...faces.map((face) => `migration ${face} ${url}/v1/%(project_id)s`),
      ]);
      expect(await godwit(one.credentials, 'provider', 'list', '-f', 'csv')).toContain('image');
      await expect(godwit(one.credentials, 'keystone', 'register', '--url', url)).rejects.toThrow('403');
    } finally {
      await unregister(admin);
    }
    await expect(godwit(one.credentials, 'provider', 'list')).rejects.toThrow('migration');
  });

  test('its tokens are let in, to the project that they are for', async () => {
    const token = one.api.token;
    expect((await call(token, 'GET', '/transfers')).body).toEqual({ transfers: [] });
    expect((await call(token, 'GET', `/${one.projectId}/transfers`)).status).toBe(200);
    const wrong = await call(token, 'GET', `/${other.projectId}/transfers`);
    expect(wrong.status).toBe(400);
    expect(wrong.text).toContain('Malformed request url');
  });

  test('nothing else is, and the refusal says where tokens are to be had', async () => {
    for (const token of ['nonsense', one.api.token.slice(0, -8), `${one.api.token}x`]) {
      const answer = await call(token, 'GET', '/transfers');
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe(`Keystone uri="${road.url}"`);
    }
    // The identity that it has for itself is not there.
    expect((await fetch(`${url}/identity/v3`)).status).toBe(404);
  });

  test('a connection to Keystone that breaks costs nobody his request; a Keystone that is away is said to be', async () => {
    const fresh = await CloudApi.login(one.credentials);
    road.breakNext(1);
    expect((await call(fresh.token, 'GET', '/transfers')).status).toBe(200);
    expect(road.broken()).toBe(1);
    const second = await CloudApi.login(one.credentials);
    road.breakNext(2);
    const answer = await call(second.token, 'GET', '/transfers');
    expect(answer.status).toBe(503);
    expect(answer.text).toContain('Keystone');
    expect(road.broken()).toBe(3);
    expect((await call(second.token, 'GET', '/transfers')).status).toBe(200);
  });

  test('a tenant sees nothing of another, and an administrator of the cloud sees both', async () => {
    const made = await call(one.api.token, 'POST', '/endpoints', endpoint('mine', { path: path.join(home, 'vms') }));
    const id = idOf(made, 'endpoint');
    for (const route of [`/endpoints/${id}`, `/endpoints/${id}/instances`]) {
      expect((await call(other.api.token, 'GET', route)).status).toBe(404);
    }
    expect((await call(other.api.token, 'DELETE', `/endpoints/${id}`)).status).toBe(404);
    expect((await call(other.api.token, 'GET', '/endpoints')).text).not.toContain(id);
    expect((await call(one.admin.token, 'GET', '/endpoints')).text).toContain(id);
    expect((await call(one.api.token, 'POST', '/regions', { region: { name: 'x' } })).status).toBe(403);
    expect((await call(one.api.token, 'GET', '/diagnostics')).status).toBe(403);
    expect((await call(one.admin.token, 'GET', '/diagnostics')).status).toBe(200);
  });

  test('a reader changes nothing', async () => {
    const credentials = await one.addUser(`${one.name}-reader`, ['reader']);
    const { token } = await CloudApi.login(credentials);
    expect((await call(token, 'GET', '/transfers')).status).toBe(200);
    expect((await call(token, 'POST', '/endpoints', endpoint('x', { path: '/' }))).status).toBe(403);
  });

  test('a revoked token, and one whose role was taken away, end within a minute', async () => {
    const user = `${one.name}-guest`;
    const credentials = await one.addUser(user, ['member']);
    const first = await CloudApi.login(credentials);
    const second = await CloudApi.login(credentials);
    expect((await call(first.token, 'GET', '/transfers')).status).toBe(200);
    expect((await call(second.token, 'GET', '/transfers')).status).toBe(200);
    await one.revokeToken(first.token);
    await until(
      'the revoked token is refused',
      async () => (await call(first.token, 'GET', '/transfers')).status === 401,
    );
    await one.revoke(second.userId, 'member');
    await until(
      'the token without a role is refused',
      async () => (await call(second.token, 'GET', '/transfers')).status === 401,
    );
  });

  test('a connection may lie in Barbican, its caller’s own; only the reference is kept', async () => {
    await one.grant(one.api.userId, 'creator').catch(() => undefined);
    const owner = await CloudApi.login(one.credentials);
    const { secret_ref } = await storeSecret(owner, { path: path.join(home, 'vms') });
    const stolen = await call(other.api.token, 'POST', '/endpoints', endpoint('stolen', { secret_ref }));
    expect(stolen.status).toBe(400);
    expect(stolen.text).toContain('your token may not read it');
    const elsewhere = await call(
      owner.token,
      'POST',
      '/endpoints',
      endpoint('e', { secret_ref: 'http://127.0.0.1:9/v1/secrets/00000000-0000-0000-0000-000000000000' }),
    );
    expect(elsewhere.status).toBe(400);
    expect(elsewhere.text).toContain('of the key manager in the catalog');
    const made = await call(owner.token, 'POST', '/endpoints', endpoint('vault', { secret_ref }));
    expect(made.status, made.text).toBe(200);
    expect((made.body.endpoint as { connection_info: object }).connection_info).toEqual({ secret_ref });
    const id = idOf(made, 'endpoint');
    const refused = await call(owner.token, 'GET', `/endpoints/${id}/instances`);
    expect(refused.text).toContain('service account may not read it');
    const acl = await fetch(`${secret_ref}/acl`, {
      method: 'PUT',
      headers: { 'x-auth-token': owner.token, 'content-type': 'application/json' },
      body: JSON.stringify({ read: { users: [service.userId], 'project-access': true } }),
    });
    expect(acl.status).toBe(200);
    const instances = await call(owner.token, 'GET', `/endpoints/${id}/instances`);
    expect(instances.status, instances.text).toBe(200);
    expect(instances.text).toContain('web01');
    expect(readFileSync(path.join(home, 'logs', 'worker.log'), 'utf8')).not.toContain(owner.token);
  });
});

async function storeSecret(owner: CloudApi, content: object): Promise<{ secret_ref: string }> {
  return owner.call('key-manager', 'POST', '/secrets', {
    name: 'connection',
    payload: JSON.stringify(content),
    payload_content_type: 'text/plain',
  }) as Promise<{ secret_ref: string }>;
}
