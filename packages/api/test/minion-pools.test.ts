import { randomUUID } from 'node:crypto';
import type { MinionPoolStatus } from '@godwit/domain';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keysOf, UUID } from './contract-keys.ts';
import { ServedApi } from './served-api.ts';

let api: ServedApi;
let vault: string;
beforeAll(async () => {
  api = await ServedApi.start();
  const connection_info = { path: '/srv', user: 'someone', password: 'long enough' };
  vault = (await api.member.post('/endpoints', { endpoint: { name: 'v', type: 'vault', connection_info } })).json()
    .endpoint.id;
});
afterAll(() => api[Symbol.asyncDispose]());

const body = (more: object = {}) => ({
  minion_pool: {
    name: 'helpers',
    endpoint_id: vault,
    os_type: 'linux',
    platform: 'source',
    environment_options: {},
    skip_allocation: true,
    ...more,
  },
});
const create = (more: object = {}) => api.member.post('/minion_pools', body(more));
const made = async (more: object = {}) => (await create(more)).json().minion_pool;
const setStatus = (id: string, status: MinionPoolStatus) =>
  api.db.updateTable('minion_pool').set({ status }).where('id', '=', id).execute();

describe('a minion pool', () => {
  test('has exactly the keys and defaults of the contract', async () => {
    const answer = await create({ minimum_minions: 2, minion_max_idle_time: null, maximum_minions: null });
    expect(answer.statusCode).toBe(200);
    const pool = answer.json().minion_pool;
    expect(Object.keys(pool).sort()).toEqual(keysOf('minionPool', ['events', 'progress_updates']));
    expect(pool.id).toMatch(UUID);
    expect(pool).toMatchObject({
      status: 'DEALLOCATED',
      minimum_minions: 2,
      maximum_minions: 2,
      minion_max_idle_time: 1,
      minion_retention_strategy: 'delete',
      notes: null,
      shared_resources: null,
      maintenance_trust_id: null,
      minion_machines: [],
    });
    expect((await api.member.get(`/minion_pools/${pool.id}`)).json()).toEqual({ minion_pool: pool });
    const { minion_pools } = (await api.member.get('/minion_pools')).json();
    expect(Object.keys(minion_pools[0]).sort()).toEqual(keysOf('minionPool'));
  });

  test('keeps its endpoint from being deleted', async () => {
    const connection_info = { path: '/srv', user: 'someone', password: 'long enough' };
    const endpoint = (
      await api.member.post('/endpoints', { endpoint: { name: 'w', type: 'vault', connection_info } })
    ).json().endpoint.id;
    const { id } = await made({ endpoint_id: endpoint });
    const refused = await api.member.delete(`/endpoints/${endpoint}`);
    expect([refused.statusCode, refused.json().error.message]).toEqual([403, '1 minion pools would be orphaned!']);
    expect((await api.member.delete(`/minion_pools/${id}`)).statusCode).toBe(204);
    expect((await api.member.delete(`/endpoints/${endpoint}`)).statusCode).toBe(204);
  });

  test('shows its machines without their secrets', async () => {
    const { id } = await made();
    await api.db
      .insertInto('minion_machine')
      .values({
        id: randomUUID(),
        pool_id: id,
        project_id: 'p',
        user_id: 'u',
        connection_info: JSON.stringify({ ip: '10.0.0.1', password: 'oops', pkey: 'oops' }),
        backup_writer_connection_info: JSON.stringify({
          backend: 'http',
          connection_details: { ip: '10.0.0.1', certificates: { client_key: 'oops' } },
        }),
      })
      .execute();
    const answer = await api.member.get(`/minion_pools/${id}`);
    const [machine] = answer.json().minion_pool.minion_machines;
    expect(Object.keys(machine).sort()).toEqual(keysOf('minionMachine'));
    expect(machine.connection_info).toEqual({ ip: '10.0.0.1', password: '***', pkey: '***' });
    expect(machine.backup_writer_connection_info.connection_details.certificates).toEqual({ client_key: '***' });
    expect(answer.body).not.toContain('oops');
  });

  test('changes while it is deallocated, but never its endpoint or side', async () => {
    const { id } = await made();
    const change = (more: object) => api.member.put(`/minion_pools/${id}`, { minion_pool: more });
    const changed = (await change({ name: 'more', maximum_minions: 5, notes: 'x' })).json().minion_pool;
    expect(changed).toMatchObject({ name: 'more', maximum_minions: 5, minimum_minions: 1, notes: 'x' });
    expect((await change({ platform: 'destination' })).json().error.message).toContain(
      "The 'platform' of a minion pool cannot be updated.",
    );
    expect((await change({ endpoint_id: vault })).statusCode).toBe(400);
    await setStatus(id, 'ALLOCATED');
    const refused = await change({ name: 'late' });
    expect(refused.statusCode).toBe(400);
    expect(refused.json().error.message).toContain("cannot be updated as it is in 'ALLOCATED' status");
  });

  test('is deleted only without machines', async () => {
    const { id } = await made();
    await setStatus(id, 'ALLOCATED');
    expect((await api.member.delete(`/minion_pools/${id}`)).statusCode).toBe(400);
    await setStatus(id, 'ERROR');
    expect((await api.member.delete(`/minion_pools/${id}`)).statusCode).toBe(204);
    expect((await api.member.get(`/minion_pools/${id}`)).json().error.message).toBe(
      `NotFound: Minion pool with ID '${id}' not found.`,
    );
  });

  test('is acted upon only in a fitting state; a deallocated one is deallocated already', async () => {
    const { id } = await made();
    const act = (action: object | undefined) => api.member.post(`/minion_pools/${id}/actions`, action);
    expect((await act({ deallocate: { force: true } })).json().minion_pool.status).toBe('DEALLOCATED');
    expect((await act({ refresh: null })).json().error.message).toContain("'DEALLOCATED' state");
    await setStatus(id, 'ALLOCATING_MACHINES');
    expect((await act({ allocate: null })).json().error.message).toContain('Please force-deallocate the pool');
    expect((await act({ deallocate: null })).json().error.message).toContain('cannot be deallocated');
    expect((await act({ deallocate: 'x' })).json().error.message).toContain('deallocate must be an object or null');
    expect((await act({ fly: null })).json().error.message).toBe('There is no such action: fly');
    expect((await act(undefined)).json().error.message).toBe('There is no such action: None');
  });

  test('of another project is not there', async () => {
    const mine = (await api.admin.post('/minion_pools', body())).json().minion_pool.id;
    expect((await api.member.get(`/minion_pools/${mine}`)).statusCode).toBe(404);
    expect((await api.member.delete(`/minion_pools/${mine}`)).statusCode).toBe(404);
    expect((await api.member.get('/minion_pools')).body).not.toContain(mine);
  });

  test.each([
    [{ os_type: 'plan9' }, "The provided pool OS type 'plan9' is invalid"],
    [{ os_type: 'windows' }, "Source Minion Pools are required to be of OS type 'linux', not 'windows'."],
    [{ platform: 'middle' }, "The provided pool platform ('middle') is invalid"],
    [{ platform: 'destination' }, 'Provider not found for: vault, 1048576'],
    [{ minimum_minions: 0 }, "'minimum_minions' must be a strictly positive integer. Got: 0"],
    [{ minimum_minions: 3, maximum_minions: 2 }, "'maximum_minions' value (2) must be at least as large"],
    [{ minion_retention_strategy: 'keep' }, "Invalid minion pool retention strategy 'keep'"],
    [{ environment_options: { colour: 'red' } }, 'environment_options'],
    [{ name: undefined }, 'The minion_pool creation body lacks a required attribute: "name"'],
    [{ endpoint_id: 'nope' }, "Endpoint with ID 'nope' not found."],
  ])('%j is refused with what is wrong', async (more, reason) => {
    const answer = await create(more);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error.message).toContain(reason);
  });

  test('options are offered only where the provider makes minions', async () => {
    const answer = await api.member.get(`/endpoints/${vault}/destination-minion-pool-options`);
    expect(answer.statusCode).toBe(404);
    expect(answer.json().error.message).toBe('NotFound: Provider not found for: vault, 1048576');
    const schemas = (await api.member.get('/providers/vault/schemas/524288')).json().schemas;
    expect(Object.keys(schemas)).toEqual(['source_minion_pool_environment_schema']);
  });
});
