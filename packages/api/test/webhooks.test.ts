// Over 400 lines: what receivers may do and what they get for it, over one API.
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { JsonObject } from '@godwit/domain';
import { appendEvent, dueWebhooks, rotateSecrets } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { pauseAfter, WebhookDeliverer, type WebhookTimes } from '../src/webhooks/deliverer.ts';
import { lookupReceiver } from '../src/webhooks/target.ts';
import { UUID } from './contract-keys.ts';
import { ServedApi } from './served-api.ts';
import { type Received, Receiver } from './webhook-receiver.ts';

const run = promisify(execFile);

let api: ServedApi;
const open: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  api = await ServedApi.start();
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
  for (const { id } of (await api.admin.get('/webhooks')).json().webhooks) await api.admin.delete(`/webhooks/${id}`);
});
afterAll(() => api[Symbol.asyncDispose]());

const QUICK: WebhookTimes = { look: 20, answer: 30_000, first: 20, most: 100, attempts: 3 };

function deliverer(times: Partial<WebhookTimes> = {}): WebhookDeliverer {
  const { db, app } = api;
  const made = new WebhookDeliverer({
    db,
    secrets: api.installation.secrets,
    log: app.log,
    version: '0.1.0',
    times: { ...QUICK, ...times },
  });
  made.start();
  open.push(made);
  return made;
}

async function receiver(tls?: { key: string; cert: string }): Promise<Receiver> {
  const made = await Receiver.start(tls);
  open.push(made);
  return made;
}

const create = (webhook: object) => api.admin.post('/webhooks', { webhook: { name: 'pager', ...webhook } });
const made = async (webhook: object) => (await create(webhook)).json().webhook as { id: string; secret: string };
const say = (type: string, objectId = 'x', projectId = api.admin.projectId) =>
  appendEvent(api.db, { projectId, type, objectType: type.split('.')[0]!, objectId });
const eventually = (what: string, holds: () => Promise<boolean> | boolean) => api.installation.eventually(what, holds);
const deliveries = async (id: string) => (await api.admin.get(`/webhooks/${id}/deliveries`)).json().deliveries;

/** An authority of its own (`ca.pem`) and what it has signed for 127.0.0.1. */
async function certificateIn(folder: string): Promise<{ key: string; cert: string }> {
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = ['-subj', '/CN=test CA', '-days', '2', '-addext', 'keyUsage=keyCertSign'];
  await openssl('req', '-x509', ...key, ...authority, '-keyout', 'ca-key.pem', '-out', 'ca.pem');
  writeFileSync(path.join(folder, 'ext'), 'subjectAltName=IP:127.0.0.1\n');
  await openssl('req', ...key, '-subj', '/CN=receiver', '-keyout', 'key.pem', '-out', 'csr.pem');
  const sign = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-days', '2', '-extfile', 'ext'];
  await openssl('x509', '-req', '-in', 'csr.pem', ...sign, '-out', 'cert.pem');
  const read = (name: string) => readFileSync(path.join(folder, name), 'utf8');
  return { key: read('key.pem'), cert: read('cert.pem') };
}

/** As a receiver checks it, see docs/webhooks.md. */
function isSigned({ headers, body }: Received, secret: string): boolean {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const mac = createHmac('sha256', key);
  mac.update(`${String(headers['webhook-id'])}.${String(headers['webhook-timestamp'])}.${body}`);
  return headers['webhook-signature'] === `v1,${mac.digest('base64')}`;
}

describe('a webhook', () => {
  test('is made, changed and removed by administrators; its secret is shown once and sealed', async () => {
    const answer = await create({ url: 'https://hooks.example.org/a', events: ['execution'] });
    expect(answer.statusCode).toBe(200);
    const { secret, ...webhook } = answer.json().webhook;
    expect(webhook).toMatchObject({ name: 'pager', events: ['execution'], enabled: true, deleted: '0' });
    expect(webhook.id).toMatch(UUID);
    expect(Buffer.from(secret.slice('whsec_'.length), 'base64')).toHaveLength(32);
    expect((await api.admin.get(`/webhooks/${webhook.id}`)).json()).toEqual({ webhook });
    expect((await api.admin.get('/webhooks')).json()).toEqual({ webhooks: [webhook] });
    const row = await api.db.selectFrom('webhook').selectAll().where('id', '=', webhook.id).executeTakeFirstOrThrow();
    expect(JSON.stringify({ ...row, bytes: row.signing_secret.toString('latin1') })).not.toContain(secret.slice(6));
    const changed = await api.admin.put(`/webhooks/${webhook.id}`, { webhook: { enabled: false, events: [] } });
    expect(changed.json().webhook).toMatchObject({ enabled: false, events: [] });
    const rotated = await api.admin.post(`/webhooks/${webhook.id}/actions`, { 'rotate-secret': null });
    expect(rotated.json().webhook.secret).not.toBe(secret);
    expect((await api.admin.delete(`/webhooks/${webhook.id}`)).statusCode).toBe(204);
    expect((await api.admin.get(`/webhooks/${webhook.id}`)).statusCode).toBe(404);
  });

  test('is nothing that a member may see or make', async () => {
    const { id } = await made({ url: 'https://hooks.example.org/a' });
    const refused = [
      await api.member.get('/webhooks'),
      await api.member.get(`/webhooks/${id}`),
      await api.member.get(`/webhooks/${id}/deliveries`),
      await api.member.post('/webhooks', { webhook: { name: 'x', url: 'https://a.example' } }),
      await api.member.put(`/webhooks/${id}`, { webhook: { enabled: false } }),
      await api.member.post(`/webhooks/${id}/actions`, { 'rotate-secret': null }),
      await api.member.delete(`/webhooks/${id}`),
    ];
    expect(refused.map((answer) => answer.statusCode)).toEqual(refused.map(() => 403));
  });

  test('points to a receiver, never to the link itself, with a secret of its own if wanted', async () => {
    const message = async (webhook: object) => {
      const answer = await create({ url: 'https://a.example', ...webhook });
      return [answer.statusCode, answer.json().error?.message];
    };
    for (const [url, problem] of [
      ['ftp://a.example', 'neither http nor https'],
      ['nowhere', 'not a URL'],
      ['https://me:secret@a.example', 'with a user or password'],
      ['http://169.254.169.254/latest', 'no receiver'],
      ['http://[::ffff:169.254.169.254]/', 'no receiver'],
      ['http://[fe80::1]/', 'no receiver'],
      ['http://0.0.0.0/', 'no receiver'],
      ['http://[::]/', 'no receiver'],
      ['http://2852039166/', 'no receiver'],
      ['http://[::169.254.169.254]/', 'no receiver'],
      ['http://[64:ff9b::169.254.169.254]/', 'no receiver'],
      ['http://[2002:a9fe:a9fe::1]/', 'no receiver'],
      ['http://[fd00:ec2::23]/', 'no receiver'],
      ['http://[fd20:ce::254]/', 'no receiver'],
      ['http://100.100.100.200/', 'no receiver'],
      ['http://168.63.129.16/', 'no receiver'],
    ] as const) {
      expect(await message({ url })).toEqual([400, expect.stringContaining(problem)]);
    }
    expect((await message({ secret: 'whsec_c2hvcnQ=' }))[0]).toBe(400);
    expect((await message({ events: ['deploymnet'] }))[0]).toBe(400);
    const own = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
    expect((await made({ url: 'https://a.example', secret: own })).secret).toBe(null);
  });

  test('is not sent to a name that turns out to be an address of the link', async () => {
    const found = promisify(lookupReceiver);
    for (const address of ['169.254.169.254', 'fe80::1', 'fe80::1%1', '::ffff:169.254.169.254']) {
      await expect(found(address, { all: true })).rejects.toThrow('no receiver');
    }
    expect(await found('::1', { family: 6 })).toBe('::1');
    const { address } = await lookup('localhost', { family: 4 });
    expect(await found('localhost', { family: 4 })).toBe(address);
  });
});

describe('a delivery', () => {
  test('is signed over its id, the time and the body, and carries the event as /events does', async () => {
    const to = await receiver();
    const { id, secret } = await made({ url: `${to.url}/hook?a=b`, events: ['execution', 'transfer.updated'] });
    const transfer = await api.transfer(api.admin, 'told');
    const { execution } = (await api.admin.post(`/transfers/${transfer}/executions`, {})).json();
    deliverer();
    await eventually('both are told', () => to.received.length >= 2);
    expect(to.types).toEqual(['execution.updated', 'transfer.updated']);
    const [first] = to.received;
    expect(first!.path).toBe('/hook?a=b');
    expect(JSON.parse(first!.body)).toMatchObject({
      object_type: 'execution',
      object_id: execution.id,
      project_id: api.admin.projectId,
      payload: { status: 'RUNNING', action_id: transfer },
    });
    for (const one of to.received) expect(isSigned(one, secret)).toBe(true);
    expect(isSigned({ ...first!, body: `${first!.body} ` }, secret)).toBe(false);
    await eventually('they are done', async () =>
      (await deliveries(id)).every((one: object) => 'state' in one && one.state === 'delivered'),
    );
    const [newest] = await deliveries(id);
    expect(newest).toMatchObject({ attempts: 1, last_status: 204, last_error: null, next_at: null });
  });

  test('is made for what the webhook wants, of its own project alone', async () => {
    const [all, some] = [await receiver(), await receiver()];
    await made({ url: all.url });
    const { id } = await made({ url: some.url, events: ['task', 'schedule.fired'] });
    const off = await made({ url: some.url, enabled: false });
    await say('execution.updated', 'foreign', api.member.projectId);
    for (const type of ['task.updated', 'progress', 'schedule.refused', 'schedule.fired']) await say(type);
    await api.admin.post(`/webhooks/${id}/actions`, { test: null });
    deliverer();
    await eventually('all are told', () => all.received.length >= 2 && some.received.length >= 3);
    expect(all.types).toEqual(['schedule.refused', 'schedule.fired']);
    expect(some.types).toEqual(['task.updated', 'schedule.fired', 'webhook.test']);
    expect(await deliveries(off.id)).toEqual([]);
    expect((await api.admin.post(`/webhooks/${off.id}/actions`, { test: null })).statusCode).toBe(400);
  });

  test('tells the life of endpoints, transfers, deployments and pools, from their making to their end', async () => {
    const to = await receiver();
    await made({ url: to.url, events: ['endpoint', 'transfer', 'deployment', 'minion_pool'] });
    const transfer = await api.transfer(api.admin, 'mortal');
    const { origin_endpoint_id: origin } = (await api.admin.get(`/transfers/${transfer}`)).json().transfer;
    await api.admin.put(`/endpoints/${origin}`, { endpoint: { name: 'other' } });
    const { execution } = (
      await api.admin.post(`/transfers/${transfer}/executions`, { execution: { auto_deploy: true } })
    ).json();
    const [waiting] = (await api.admin.get('/deployments')).json().deployments;
    await api.admin.post(`/deployments/${waiting.id}/actions`, { cancel: { force: false } });
    await api.admin.delete(`/deployments/${waiting.id}`);
    await api.admin.post(`/transfers/${transfer}/executions/${execution.id}/actions`, { cancel: { force: true } });
    const pool = await api.admin.post('/minion_pools', {
      minion_pool: {
        name: 'helpers',
        endpoint_id: origin,
        os_type: 'linux',
        platform: 'source',
        environment_options: {},
        skip_allocation: true,
      },
    });
    expect((await api.admin.delete(`/minion_pools/${pool.json().minion_pool.id}`)).statusCode).toBe(204);
    expect((await api.admin.delete(`/transfers/${transfer}`)).statusCode).toBe(204);
    expect((await api.admin.delete(`/endpoints/${origin}`)).statusCode).toBe(204);
    deliverer();
    await eventually('the end is told', () => to.types.includes('endpoint.deleted'));
    expect(to.types).toEqual([
      'endpoint.created',
      'endpoint.created',
      'transfer.created',
      'endpoint.updated',
      'transfer.updated',
      'deployment.created',
      'deployment.updated',
      'deployment.deleted',
      'transfer.updated',
      'minion_pool.created',
      'minion_pool.deleted',
      'transfer.deleted',
      'endpoint.deleted',
    ]);
    const told = to.received.map(({ body }) => JSON.parse(body) as { object_id: string; payload: object });
    expect(told[2]).toMatchObject({ object_id: transfer, payload: { scenario: 'replica', instances: ['web01'] } });
    expect(told[6]).toMatchObject({ object_id: waiting.id, payload: { last_execution_status: 'CANCELED' } });
    expect(told.at(-1)).toMatchObject({ object_id: origin, payload: { name: 'other', type: 'folder' } });
    expect(JSON.stringify(told)).not.toContain('connection');
  });

  test('is narrowed to statuses; what tells none is sent all the same', async () => {
    const [failures, all] = [await receiver(), await receiver()];
    const { id } = await made({ url: failures.url, statuses: ['ERROR', 'ERROR_ALLOCATING_MINIONS'] });
    await made({ url: all.url });
    const tell = (type: string, payload: JsonObject) =>
      appendEvent(api.db, { projectId: api.admin.projectId, type, objectType: 'x', objectId: 'x', payload });
    await tell('execution.updated', { status: 'RUNNING' });
    await tell('transfer.updated', { last_execution_status: 'COMPLETED' });
    await tell('transfer.updated', { last_execution_status: 'ERROR' });
    await tell('execution.updated', { status: 'ERROR' });
    await tell('schedule.refused', { reason: 'no' });
    deliverer();
    await eventually('all are told', () => all.received.length === 5 && failures.received.length >= 3);
    expect(failures.types).toEqual(['transfer.updated', 'execution.updated', 'schedule.refused']);
    const widened = await api.admin.put(`/webhooks/${id}`, { webhook: { statuses: [] } });
    expect(widened.json().webhook).toMatchObject({ statuses: [], events: [] });
    expect((await create({ url: 'https://a.example', statuses: ['FAILED'] })).statusCode).toBe(400);
  });

  test('goes to https only where the certificate is trusted: by NODE_EXTRA_CA_CERTS one of a private authority', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'gw-hook-'));
    open.push({ close: async () => rmSync(folder, { recursive: true, force: true }) });
    const to = await receiver(await certificateIn(folder));
    const { id } = await made({ url: to.url });
    await say('execution.updated');
    deliverer();
    await eventually('it is given up', async () => (await deliveries(id))[0]?.state === 'failed');
    expect((await deliveries(id))[0]).toMatchObject({
      last_status: null,
      last_error: expect.stringMatching(/certificate/),
    });
    expect(to.received).toEqual([]);

    const trusting = async (host: string) => {
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: path.join(folder, 'ca.pem') };
      const child = path.join(import.meta.dirname, 'send.fixture.ts');
      const { stdout } = await run(process.execPath, [child, to.url.replace('127.0.0.1', host)], { env });
      return JSON.parse(stdout);
    };
    expect(await trusting('127.0.0.1')).toEqual({ status: 204, error: null });
    expect(to.received).toHaveLength(1);
    expect(await trusting('localhost')).toEqual({ status: null, error: expect.stringContaining('altnames') });
    expect(to.received).toHaveLength(1);
  });

  test('is tried again with the same id when the receiver fails, and is not carried along by a redirect', async () => {
    const [to, trap] = [await receiver(), await receiver()];
    to.manners.push(
      (response) => response.writeHead(500).end('secrets of the receiver'),
      (response) => response.writeHead(307, { location: trap.url }).end(),
    );
    const { id, secret } = await made({ url: to.url });
    await say('execution.updated');
    deliverer();
    await eventually('it is delivered', async () => (await deliveries(id))[0]?.state === 'delivered');
    expect(to.received).toHaveLength(3);
    expect(new Set(to.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(to.received.every((one) => isSigned(one, secret))).toBe(true);
    expect(trap.received).toEqual([]);
  });

  test('is given up after the last attempt, says why, and can be tried again by hand', async () => {
    const to = await receiver();
    to.manners.push(
      ...[410, 302, 500].map(
        (status) => (response: { writeHead(s: number): { end(): void } }) => response.writeHead(status).end(),
      ),
    );
    const { id } = await made({ url: to.url });
    await say('execution.updated');
    deliverer();
    await eventually('it is given up', async () => (await deliveries(id))[0]?.state === 'failed');
    const [delivery] = await deliveries(id);
    expect(delivery).toMatchObject({ attempts: 3, last_status: 500, last_error: 'answered 500', next_at: null });
    const retry = () => api.admin.post(`/webhooks/${id}/deliveries/${delivery.id}/actions`, { retry: null });
    expect((await retry()).json().delivery).toMatchObject({ state: 'waiting', attempts: 0 });
    await eventually('it is delivered', async () => (await deliveries(id))[0].state === 'delivered');
    expect((await retry()).statusCode).toBe(404);
  });

  test('to a receiver that hangs or is away ends in time, and holds up no other receiver', async () => {
    const [slow, well] = [await receiver(), await receiver()];
    slow.manners.push(() => undefined);
    const { id } = await made({ url: slow.url });
    const away = await made({ url: 'http://127.0.0.1:1/' });
    await made({ url: well.url });
    await say('execution.updated');
    deliverer({ answer: 300, attempts: 30 });
    await eventually('the other is told', () => well.received.length === 1);
    await eventually('it is delivered in the end', async () => (await deliveries(id))[0].state === 'delivered');
    expect(slow.received.length).toBeGreaterThan(1);
    await eventually('the port is closed', async () =>
      String((await deliveries(away.id))[0].last_error).includes('ECONNREFUSED'),
    );
  });

  test('comes through however many receivers of another project hang', async () => {
    const [slow, well] = [await receiver(), await receiver()];
    const hanging = 40;
    for (let i = 0; i < hanging; i++) slow.manners.push(() => undefined);
    for (let i = 0; i < hanging; i++) await made({ url: slow.url });
    await made({ url: well.url, project_id: api.member.projectId });
    for (const object of ['one', 'two']) await say('execution.updated', object);
    deliverer({ answer: 600_000 });
    await eventually('they hang', () => slow.received.length >= 16);
    await say('execution.updated', 'three', api.member.projectId);
    await eventually('the other project is told', () => well.received.length === 1);
    expect(slow.received).toHaveLength(16);
  });

  test('has its turn: first to who answers, then to who was asked longest ago, of each project in turn', async () => {
    const ids: string[] = [];
    for (const project_id of [api.admin.projectId, api.admin.projectId, api.admin.projectId, api.member.projectId]) {
      ids.push((await made({ url: 'https://a.example', project_id })).id);
    }
    const [recent, earlier, fresh, other] = ids as [string, string, string, string];
    await sql`insert into webhook_delivery (id, webhook_id, event_id, body, next_at, attempts, updated_at)
      select webhook_id || event_id, webhook_id, event_id, '{}', now() - due * interval '1 s', attempts,
        now() - tried * interval '1 s'
      from (values (${recent}, 1, 90, 0, null), (${recent}, 2, -60, 1, 10), (${earlier}, 1, 80, 0, null),
        (${earlier}, 2, 70, 3, 20), (${fresh}, 1, 1, 0, null), (${other}, 1, 2, 1, 30))
        as given (webhook_id, event_id, due, attempts, tried)`.execute(api.db);
    const turns = async (limit: number, webhooks: string[] = [], projects: string[] = []) =>
      (await dueWebhooks(api.db, limit, { webhooks, projects })).map((webhook) => webhook.id);
    expect(await turns(9)).toEqual([fresh, other, earlier, recent]);
    expect(await turns(2)).toEqual([fresh, other]);
    expect(await turns(9, [fresh])).toEqual([other, earlier, recent]);
    expect(await turns(9, [], [api.admin.projectId])).toEqual([other]);
  });

  test('of what happened while nobody delivered is made up for, also of what was broken off', async () => {
    const to = await receiver();
    const { id } = await made({ url: to.url, events: ['execution'] });
    const first = deliverer();
    await say('execution.updated', 'one');
    await eventually('it works', () => to.received.length === 1);
    const hanging = new Promise<void>((resolve) =>
      to.manners.push((response) => void once(response, 'close').then(() => resolve())),
    );
    await say('execution.updated', 'two');
    await eventually('it is under way', () => to.received.length === 2);
    await first.close();
    await hanging;
    await say('execution.updated', 'three');
    deliverer();
    await eventually(
      'all are told',
      async () => (await deliveries(id)).filter((one: { state: string }) => one.state === 'delivered').length === 3,
    );
    const told = to.received.map(({ body }) => (JSON.parse(body) as { object_id: string }).object_id);
    expect(told).toEqual(['one', 'two', 'two', 'three']);
  });

  test('is made once, however many processes deliver', async () => {
    const to = await receiver();
    await made({ url: to.url, events: ['execution'] });
    for (let i = 0; i < 3; i++) deliverer();
    const objects = Array.from({ length: 40 }, (_, i) => `object ${i}`);
    await Promise.all(objects.map((object) => say('execution.updated', object)));
    await eventually('all are told', () => to.received.length >= objects.length);
    const told = to.received.map(({ body }) => (JSON.parse(body) as { object_id: string }).object_id);
    expect(told.sort()).toEqual(objects.sort());
  });

  test('goes on after the key of the secrets was changed', async () => {
    const to = await receiver();
    const { secret } = await made({ url: to.url });
    const keys = path.join(api.installation.home, 'keys/secrets.json');
    for (let i = 0; i < 2; i++) await rotateSecrets(api.installation.database, keys);
    await say('deployment.updated');
    deliverer();
    await eventually('it is told', () => to.received.length === 1);
    expect(isSigned(to.received[0]!, secret)).toBe(true);
  });
});

test('pauses between attempts double up to the longest, then it is given up', () => {
  const times = { ...QUICK, first: 5_000, most: 3_600_000, attempts: 33 };
  expect([1, 2, 3, 11, 32].map((attempts) => pauseAfter(attempts, times, 1))).toEqual([5e3, 1e4, 2e4, 3.6e6, 3.6e6]);
  expect(pauseAfter(1, times, 0)).toBe(2_500);
  expect(pauseAfter(33, times, 0)).toBeUndefined();
});
