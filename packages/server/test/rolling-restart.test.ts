import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@godwit/store';
import { createTestDatabase } from '@godwit/store/testing';
import { afterEach, expect, it } from 'vitest';
import { freePort } from '../../../testbed/free-port.ts';
import { RunningServer } from './running-server.ts';

const MIB = 1_048_576;
const INSTANCES = ['a', 'b', 'c', 'd'];
const WORKERS = [
  ['worker', '--region', 'north'],
  ['worker', '--region', 'south'],
  ['worker', '--region', 'south'],
];

const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers) server.child.kill('SIGTERM');
  for (const server of servers.splice(0)) await server.clear();
});

it('a rolling restart of API and workers in two regions fails no execution, and every disk arrives equal', {
  timeout: 300_000,
}, async () => {
  await using database = await createTestDatabase({ migrated: false });
  const home = mkdtempSync(path.join(tmpdir(), 'gwr-'));
  const [port, from, to] = [await freePort(), path.join(home, 'from'), path.join(home, 'to')];
  mkdirSync(to);
  for (const name of INSTANCES) writeDisk(path.join(from, name), 3 * MIB);
  const start = async (words: string[]): Promise<RunningServer> => {
    const server = await RunningServer.start(words, { home, port, env: { DATABASE_URL: database.url } });
    servers.push(server);
    return server;
  };
  expect(await (await start(['db', 'migrate'])).ended).toBe(0);
  const api = await start(['api']);
  const workers = await Promise.all(WORKERS.map(start));
  await api.untilHealthy();
  const client = await signIn(home, api.url);
  await eventually('three workers are up', async () => {
    const { services } = await client<{ services: { status: string }[] }>('GET', '/services');
    return services.filter((service) => service.status === 'UP').length === WORKERS.length;
  });

  const { regions } = await client<{ regions: { id: string; name: string }[] }>('GET', '/regions');
  const south = regions.filter((region) => region.name === 'south').map((region) => region.id);
  const origin = await client.endpoint('from', from, []);
  const destination = await client.endpoint('to', to, south);
  const executions: string[] = [];
  for (const name of INSTANCES) {
    // About four seconds for each: several restarts fall into it.
    const transfer = { origin_endpoint_id: origin, destination_endpoint_id: destination, instances: [name] };
    const body = { transfer: { ...transfer, scenario: 'replica', options: { rate_limit: MIB * 0.75 } } };
    const { transfer: made } = await client<{ transfer: { id: string } }>('POST', '/transfers', body);
    const place = `/transfers/${made.id}/executions`;
    const { execution } = await client<{ execution: { id: string } }>('POST', place, { execution: {} });
    executions.push(`${place}/${execution.id}`);
  }
  const store = connect(database.url, { max: 1 });
  const copying = () =>
    store.db
      .selectFrom('task')
      .select('id')
      .where('task_type', '=', 'REPLICATE_DISKS')
      .where('status', '=', 'RUNNING')
      .execute();
  await eventually('they copy', async () => (await copying()).length > 0);

  for (const [nth, words] of WORKERS.entries()) {
    workers[nth]!.child.kill('SIGTERM');
    expect(await workers[nth]!.ended).toBe(0);
    workers[nth] = await start(words);
    await eventually('it works', () => workers[nth]!.output.includes('worker takes work'));
  }
  api.child.kill('SIGTERM');
  expect(await api.ended).toBe(0);
  await (await start(['api'])).untilHealthy();

  for (const place of executions) {
    let status = '';
    await eventually(`${place} has ended`, async () => {
      ({ status } = (await client<{ execution: { status: string } }>('GET', place)).execution);
      return status !== 'RUNNING';
    });
    expect(status).toBe('COMPLETED');
  }
  await store.close();
  const sums = (folder: string): string[] =>
    files(folder)
      .map((file) => sum(file))
      .sort();
  expect(sums(to)).toEqual(sums(from));
});

function writeDisk(folder: string, size: number): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'disk.raw'), randomBytes(size));
}

const files = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.raw'))
    .map((name) => path.join(folder, name));

const sum = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

async function eventually(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = Date.now() + 90_000; !(await holds()); await sleep(100)) {
    if (Date.now() > end) throw new Error(`never: ${what}\n${servers.map((server) => server.output).join('\n')}`);
  }
}

interface Client {
  <T>(method: string, route: string, body?: object): Promise<T>;
  /** Makes an endpoint of a folder; gives its id. */
  endpoint(name: string, folder: string, regions: string[]): Promise<string>;
}

/** Signs in as the owner of the home. */
async function signIn(home: string, url: string): Promise<Client> {
  const password = /^export OS_PASSWORD='(.+)'$/m.exec(readFileSync(path.join(home, 'openrc'), 'utf8'))?.[1];
  const domain = { name: 'Default' };
  const answer = await fetch(`${url}/identity/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      auth: {
        identity: { methods: ['password'], password: { user: { name: 'admin', password, domain } } },
        scope: { project: { name: 'admin', domain } },
      },
    }),
  });
  await answer.arrayBuffer();
  const token = answer.headers.get('x-subject-token') ?? '';
  const ask = async <T>(method: string, route: string, body?: object): Promise<T> => {
    const headers = { 'x-auth-token': token, 'content-type': 'application/json' };
    const said = await fetch(`${url}/v1${route}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    expect(said.status, `${method} ${route}`).toBe(200);
    return (await said.json()) as T;
  };
  const endpoint = async (name: string, folder: string, mapped_regions: string[]): Promise<string> => {
    const body = { endpoint: { name, type: 'image', connection_info: { path: folder }, mapped_regions } };
    return (await ask<{ endpoint: { id: string } }>('POST', '/endpoints', body)).endpoint.id;
  };
  return Object.assign(ask, { endpoint });
}
