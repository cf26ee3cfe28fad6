import { randomUUID } from 'node:crypto';
import { heartbeatService, openConnectionInfo, registerWorker, signOffService } from '@godwit/store';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keysOf, TIMESTAMP, UUID } from './contract-keys.ts';
import { ServedApi } from './served-api.ts';

const CANARY = 'canary-5f3a-password';

let api: ServedApi;
beforeAll(async () => {
  api = await ServedApi.start();
});
afterAll(() => api[Symbol.asyncDispose]());

const vault = (name: string, more: object = {}) => ({
  endpoint: {
    name,
    type: 'vault',
    connection_info: { path: '/srv', user: 'root', password: CANARY, proxy: { host: 'p', token: CANARY } },
    ...more,
  },
});

describe('an endpoint', () => {
  test('has exactly the keys of the contract, in every answer', async () => {
    const made = await api.member.post('/endpoints', vault('shape', { description: null }));
    expect(made.statusCode).toBe(200);
    const endpoint = made.json().endpoint;
    expect(Object.keys(endpoint).sort()).toEqual(keysOf('endpoint'));
    expect(endpoint.id).toMatch(UUID);
    expect(endpoint.created_at).toMatch(TIMESTAMP);
    expect(endpoint).toMatchObject({ updated_at: null, deleted_at: null, deleted: '0', description: null });
    expect(endpoint.project_id).toBe(api.member.projectId);

    const shown = (await api.member.get(`/endpoints/${endpoint.id}`)).json();
    expect(Object.keys(shown)).toEqual(['endpoint']);
    expect(shown.endpoint).toEqual(endpoint);
    const listed = (await api.member.get('/endpoints')).json();
    expect(Object.keys(listed)).toEqual(['endpoints']);
    expect(listed.endpoints).toContainEqual(endpoint);

    const changed = await api.member.put(`/endpoints/${endpoint.id}`, { endpoint: { description: 'rack 4' } });
    expect(changed.statusCode).toBe(200);
    expect(changed.json().endpoint).toEqual({
      ...endpoint,
      description: 'rack 4',
      updated_at: expect.stringMatching(TIMESTAMP),
    });
  });

  test('never shows a secret again, and stores none in clear', async () => {
    const made = await api.member.post('/endpoints', vault('secret'));
    const { id, connection_info } = made.json().endpoint;
    expect(connection_info).toEqual({ path: '/srv', user: 'root', proxy: { host: 'p' } });
    const changed = await api.member.put(`/endpoints/${id}`, {
      endpoint: { connection_info: { path: '/srv', user: 'admin', password: `${CANARY}2` } },
    });
    expect(changed.json().endpoint.connection_info).toEqual({ path: '/srv', user: 'admin' });
    for (const answer of [
      made,
      changed,
      await api.member.get('/endpoints'),
      await api.member.get(`/endpoints/${id}`),
    ]) {
      expect(answer.body).not.toContain(CANARY);
    }
    const { rows } = await sql<{ line: string }>`select endpoint::text as line from endpoint`.execute(api.db);
    const dump = rows.map((row) => row.line).join();
    expect(dump).not.toContain(CANARY);
    expect(dump).not.toContain(Buffer.from(CANARY).toString('hex'));
    expect(await openConnectionInfo(api.db, api.installation.secrets, id)).toMatchObject({ password: `${CANARY}2` });
  });

  test('of another tenant does not exist, whatever is asked of it', async () => {
    const id = (await api.admin.post('/endpoints', vault('admins own'))).json().endpoint.id;
    const answers = [
      await api.member.get(`/endpoints/${id}`),
      await api.member.put(`/endpoints/${id}`, { endpoint: { name: 'mine' } }),
      await api.member.delete(`/endpoints/${id}`),
      await api.member.post(`/endpoints/${id}/actions`, { 'validate-connection': null }),
      await api.member.get(`/endpoints/${id}/instances`),
    ];
    expect(answers.map((answer) => answer.statusCode)).toEqual([404, 404, 404, 404, 404]);
    expect((await api.member.get('/endpoints')).body).not.toContain(id);
    expect((await api.admin.get(`/endpoints/${id}`)).statusCode).toBe(200);
  });

  test('is refused with every violation of the schema, and none of the values', async () => {
    const answer = await api.member.post('/endpoints', {
      endpoint: { name: 'bad', type: 'vault', connection_info: { password: 'geheim', port: 'x', colour: 1 } },
    });
    expect(answer.statusCode).toBe(400);
    const { message, fault, code } = answer.json().error;
    expect({ fault, code }).toEqual({ fault: 'badRequest', code: 400 });
    expect(message).toMatch(/^Invalid input received: /);
    for (const word of ['path', 'user', 'password', 'port', 'colour']) expect(message).toContain(word);
    expect(message).not.toContain('geheim');
  });

  test('of an unknown platform or region is refused', async () => {
    const platform = await api.member.post('/endpoints', {
      endpoint: { name: 'x', type: 'abacus', connection_info: {} },
    });
    expect(platform.statusCode).toBe(400);
    expect(platform.json().error.message).toBe('Provider abacus is not known here.');
    const region = randomUUID();
    const mapped = await api.member.post('/endpoints', vault('mapped', { mapped_regions: [region] }));
    expect(mapped.statusCode).toBe(400);
    expect(mapped.json().error.message).toBe(`Invalid input received: Region with ID '${region}' not found.`);
  });

  test('lacking its envelope or a required attribute is refused in the words of the contract', async () => {
    const bare = await api.member.post('/endpoints', { name: 'x' });
    expect(bare.json().error.message).toBe('The endpoint creation body needs to be encased inside the "endpoint" key');
    const nameless = await api.member.post('/endpoints', { endpoint: { type: 'vault', connection_info: {} } });
    expect(nameless.json().error.message).toBe('The endpoint creation body lacks a required attribute: "name"');
    const update = await api.member.put(`/endpoints/${randomUUID()}`, {});
    expect(update.json().error.message).toBe('The endpoint update body needs to be encased inside the "endpoint" key');
  });

  test('in use cannot be deleted; unused it can, once', async () => {
    const from = await api.endpoint(api.member, 'used-from');
    const to = await api.endpoint(api.member, 'used-to');
    const transfer = await api.member.post('/transfers', {
      transfer: { origin_endpoint_id: from, destination_endpoint_id: to, instances: ['a'] },
    });
    const refused = await api.member.delete(`/endpoints/${from}`);
    expect(refused.statusCode).toBe(403);
    expect(refused.json().error).toEqual({
      fault: 'forbidden',
      code: 403,
      message: '1 transfers would be orphaned!',
    });
    expect((await api.member.delete(`/transfers/${transfer.json().transfer.id}`)).statusCode).toBe(204);
    const deleted = await api.member.delete(`/endpoints/${from}`);
    expect([deleted.statusCode, deleted.body]).toEqual([204, '']);
    const again = await api.member.delete(`/endpoints/${from}`);
    expect(again.json().error).toEqual({
      fault: 'itemNotFound',
      code: 404,
      message: `Endpoint with ID '${from}' not found.`,
    });
  });
});

describe('regions', () => {
  test('have the keys of the contract and tell what is mapped to them', async () => {
    const made = await api.admin.post('/regions', { region: { name: 'north' } });
    expect(made.statusCode).toBe(200);
    const region = made.json().region;
    expect(Object.keys(region).sort()).toEqual(keysOf('region'));
    expect(region).toMatchObject({ description: '', enabled: true, mapped_endpoints: [], mapped_services: [] });
    const endpoint = (await api.member.post('/endpoints', vault('north', { mapped_regions: [region.id] }))).json()
      .endpoint;
    expect(endpoint.mapped_regions).toEqual([region.id]);
    const service = (
      await api.admin.post('/services', {
        service: { host: 'h', binary: 'b', topic: 't', mapped_regions: [region.id], enabled: null },
      })
    ).json().service;
    const shown = (await api.member.get(`/regions/${region.id}`)).json().region;
    expect(shown).toMatchObject({ mapped_endpoints: [endpoint.id], mapped_services: [service.id] });
    const changed = await api.admin.put(`/regions/${region.id}`, { region: { enabled: false, description: 'cold' } });
    expect(changed.json().region).toMatchObject({ name: 'north', enabled: false, description: 'cold' });
    expect((await api.admin.delete(`/regions/${region.id}`)).statusCode).toBe(204);
    const again = await api.admin.delete(`/regions/${region.id}`);
    expect(again.json().error).toMatchObject({ code: 404, message: '0 region entries were soft deleted' });
    expect((await api.member.get(`/endpoints/${endpoint.id}`)).json().endpoint.mapped_regions).toEqual([]);
  });

  test('are changed by administrators only', async () => {
    const refused = await api.member.post('/regions', { region: { name: 'mine' } });
    expect(refused.statusCode).toBe(403);
    expect(refused.json().error).toEqual({
      fault: 'forbidden',
      code: 403,
      message: "PolicyNotAuthorized: Policy doesn't allow migration:regions:create to be performed.",
    });
    expect((await api.member.get('/regions')).statusCode).toBe(200);
  });

  test('of one name are a conflict', async () => {
    await api.admin.post('/regions', { region: { name: 'twice' } });
    const again = await api.admin.post('/regions', { region: { name: 'twice' } });
    expect(again.json().error).toEqual({
      fault: 'conflictingRequest',
      code: 409,
      message: 'Conflict: region twice: it exists already.',
    });
  });
});

describe('services', () => {
  test('have the keys of the contract; one entered by hand is UNKNOWN until it reports', async () => {
    const made = await api.admin.post('/services', { service: { host: 'w1', binary: 'godwit-worker', topic: 'w' } });
    const service = made.json().service;
    expect(Object.keys(service).sort()).toEqual(keysOf('service'));
    expect(service).toMatchObject({ status: 'UNKNOWN', enabled: true, mapped_regions: [] });
    const changed = await api.admin.put(`/services/${service.id}`, { service: { enabled: false, mapped_regions: [] } });
    expect(changed.json().service).toMatchObject({ id: service.id, enabled: false });
    expect((await api.member.get('/services')).json().services.map((s: { id: string }) => s.id)).toContain(service.id);
    expect((await api.member.put(`/services/${service.id}`, { service: {} })).statusCode).toBe(403);
    expect((await api.admin.delete(`/services/${service.id}`)).statusCode).toBe(204);
    const again = await api.admin.delete(`/services/${service.id}`);
    expect(again.statusCode).toBe(404);
    expect(again.json().error.message).toBe('0 service entries were soft deleted');
  });

  test('are changed by what the body names alone', async () => {
    const region = (await api.admin.post('/regions', { region: { name: 'south' } })).json().region.id;
    const entered = { host: 'w2', binary: 'godwit-worker', topic: 'w', mapped_regions: [region] };
    const { id } = (await api.admin.post('/services', { service: entered })).json().service;
    const change = async (service: object) => (await api.admin.put(`/services/${id}`, { service })).json().service;
    expect(await change({ enabled: false })).toMatchObject({ enabled: false, mapped_regions: [region] });
    expect(await change({ mapped_regions: [] })).toMatchObject({ enabled: false, mapped_regions: [] });
  });
});

describe('a worker that is deleted', () => {
  const entered = { binary: 'godwit-worker', topic: 'w', executorId: 'e', providers: {}, specs: {} };

  test('is deleted by one of those who ask at the same time; the others are told that nothing was', async () => {
    const { id } = (
      await api.admin.post('/services', { service: { host: 'torn', binary: 'godwit-worker', topic: 'w' } })
    ).json().service;
    const answers = await Promise.all(Array.from({ length: 8 }, () => api.admin.delete(`/services/${id}`)));
    expect(answers.map((answer) => answer.statusCode).sort()).toEqual([204, ...Array.from({ length: 7 }, () => 404)]);
  });

  test('is refused while it is UP; once it is gone its row stays gone, and a worker that comes back has another', async () => {
    const { id } = await registerWorker(api.db, { ...entered, host: 'living' });
    const refused = await api.admin.delete(`/services/${id}`);
    expect([refused.statusCode, refused.json().error.message]).toEqual([409, expect.stringContaining('it is UP')]);
    expect((await api.admin.get(`/services/${id}`)).json().service.status).toBe('UP');
    await signOffService(api.db, id);
    expect((await api.admin.delete(`/services/${id}`)).statusCode).toBe(204);
    expect(await heartbeatService(api.db, id)).toBe(false);
    const again = await registerWorker(api.db, { ...entered, host: 'living' });
    expect(again.id).not.toBe(id);
    expect((await api.admin.delete(`/services/${id}`)).statusCode).toBe(404);
    expect((await api.admin.get(`/services/${again.id}`)).json().service.status).toBe('UP');
  });
});

describe('providers', () => {
  test('are listed with the numbers of their abilities and show their schemas by number', async () => {
    const { providers } = (await api.member.get('/providers')).json();
    expect(providers.vault).toEqual({ types: expect.arrayContaining([4, 8, 16, 32]) });
    const connection = (await api.member.get('/providers/vault/schemas/16')).json().schemas;
    expect(Object.keys(connection)).toEqual(['connection_info_schema']);
    expect(connection.connection_info_schema.properties.password.writeOnly).toBe(true);
    const [destination, source] = await Promise.all(
      [4, 8].map(async (type) => (await api.member.get(`/providers/vault/schemas/${type}`)).json().schemas),
    );
    expect(Object.keys(destination)).toEqual(['destination_environment_schema']);
    expect(Object.keys(source)).toEqual(['source_environment_schema']);
  });

  test('that are not there, or lack the type, are 404 in the words of the contract', async () => {
    for (const [platform, type] of [
      ['vault', '64'],
      ['vault', 'x'],
      ['abacus', '16'],
    ]) {
      const answer = await api.member.get(`/providers/${platform}/schemas/${type}`);
      expect(answer.statusCode).toBe(404);
      expect(answer.json().error.message).toBe(`NotFound: Provider not found for: ${platform}, ${type}`);
    }
  });
});

test('diagnostics tell of every process, to administrators', async () => {
  const { diagnostics } = (await api.admin.get('/diagnostics')).json();
  for (const one of diagnostics) {
    expect(Object.keys(one).sort()).toEqual(['application', 'hostname', 'ip_addresses', 'os_info', 'packages']);
  }
  expect(diagnostics[0].application).toBe('godwit-api');
  expect(diagnostics[0].packages).toContain('godwit==0.1.0');
  expect((await api.member.get('/diagnostics')).statusCode).toBe(403);
});
