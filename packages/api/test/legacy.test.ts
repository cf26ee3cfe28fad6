import { insertTransfer } from '@godwit/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MIB, sparseBytes } from '../../engine/test/disk-files.ts';
import { LEGACY_KEYS, TIMESTAMP } from './contract-keys.ts';
import { type Client, ServedApi } from './served-api.ts';

/** The dialect of servers up to 1.0.21 and clients up to 1.1.1: replicas and migrations. */

let api: ServedApi;
let member: Client;
let from: string;
let to: string;
beforeAll(async () => {
  api = await ServedApi.start();
  member = api.member;
  api.installation.instance(`${member.projectId}-source`, 'web01', { vda: sparseBytes(MIB) });
  from = await api.endpoint(member, 'source');
  to = await api.endpoint(member, 'target');
  await api.installation.worker().ready;
});
afterAll(() => api[Symbol.asyncDispose]());

const ends = () => ({ origin_endpoint_id: from, destination_endpoint_id: to, instances: ['web01'] });
const createReplica = async (more: object = {}) =>
  (await member.post('/replicas', { replica: { ...ends(), ...more } })).json().replica;
const migration = async (id: string) => (await member.get(`/migrations/${id}`)).json().migration;

/** Waits for the end of what the path shows; answers it. */
async function ended(path: string, key: string) {
  let object: Record<string, unknown> = {};
  await api.installation.eventually(`${path} has ended`, async () => {
    object = (await member.get(path)).json()[key];
    return ['COMPLETED', 'ERROR', 'CANCELED'].includes(String(object.status ?? object.last_execution_status));
  });
  return object;
}

async function executed(): Promise<string> {
  const { id } = await createReplica();
  const run = (await member.post(`/replicas/${id}/executions`, { execution: { shutdown_instances: false } })).json();
  const execution = await ended(`/replicas/${id}/executions/${run.execution.id}`, 'execution');
  expect(execution.status).toBe('COMPLETED');
  return id;
}

describe('a replica', () => {
  test('is a transfer with the keys of the older dialect', async () => {
    const replica = await createReplica({ notes: 'old words' });
    expect(Object.keys(replica).sort()).toEqual([...LEGACY_KEYS.replica].sort());
    expect(replica).toMatchObject({ type: 'replica', executions: [], notes: 'old words', base_id: replica.id });
    expect(replica.created_at).toMatch(TIMESTAMP);
    expect((await member.get(`/replicas/${replica.id}`)).json()).toEqual({ replica });
    const { transfer } = (await member.get(`/transfers/${replica.id}`)).json();
    expect(transfer).toMatchObject({ id: replica.id, scenario: 'replica', type: 'transfer' });
    for (const path of ['/replicas', '/replicas/detail', `/../v1/${member.projectId}/replicas`]) {
      const { replicas } = (await member.get(path)).json();
      expect(replicas.map((one: { id: string }) => one.id)).toContain(replica.id);
    }
  });

  test('is updated and deleted, and refusals call it by its name', async () => {
    const { id } = await createReplica();
    const { execution } = (await member.put(`/replicas/${id}`, { replica: { notes: 'changed' } })).json();
    expect(execution.type).toBe('replica_update');
    await ended(`/replicas/${id}/executions/${execution.id}`, 'execution');
    expect((await member.get(`/replicas/${id}`)).json().replica.notes).toBe('changed');
    expect((await member.delete(`/replicas/${id}`)).statusCode).toBe(204);
    expect((await member.get(`/replicas/${id}`)).json().error.message).toBe(
      `NotFound: Replica with ID '${id}' not found.`,
    );
    const lacking = await member.post('/replicas', { replica: { instances: ['x'] } });
    expect(lacking.json().error.message).toContain('The replica creation body lacks a required attribute');
    expect((await member.post('/replicas', {})).json().error.message).toContain('inside the "replica" key');
  });

  test('runs, lists its executions in the older words, gives its disks back', async () => {
    const id = await executed();
    const { replica } = (await member.get(`/replicas/${id}`)).json();
    expect(replica.last_execution_status).toBe('COMPLETED');
    expect(replica.executions[0]).toMatchObject({ type: 'replica_execution', status: 'COMPLETED' });
    const { executions } = (await member.get(`/replicas/${id}/executions`)).json();
    const types = executions[0].tasks.map((task: { task_type: string }) => task.task_type);
    expect(types).toEqual(expect.arrayContaining(['VALIDATE_REPLICA_SOURCE_INPUTS', 'DEPLOY_REPLICA_DISKS']));
    expect(types.join()).not.toContain('TRANSFER');
    const gone = (await member.post(`/replicas/${id}/actions`, { 'delete-disks': null })).json().execution;
    expect(gone.type).toBe('replica_disks_delete');
    expect((await ended(`/replicas/${id}/executions/${gone.id}`, 'execution')).status).toBe('COMPLETED');
  });

  test('has schedules that name it and know no auto-deploy', async () => {
    const { id } = await createReplica();
    const body = { schedule: { minute: 1, dow: 0 }, enabled: true, shutdown_instance: true };
    const { schedule } = (await member.post(`/replicas/${id}/schedules`, body)).json();
    expect(Object.keys(schedule).sort()).toEqual([...LEGACY_KEYS.schedule].sort());
    expect(schedule.replica_id).toBe(id);
    expect((await member.get(`/replicas/${id}/schedules`)).json()).toEqual({ schedules: [schedule] });
    const changed = await member.put(`/replicas/${id}/schedules/${schedule.id}`, { enabled: false });
    expect(changed.json().schedule).toMatchObject({ enabled: false, replica_id: id });
    expect((await member.delete(`/replicas/${id}/schedules/${schedule.id}`)).statusCode).toBe(204);
  });

  test('is not listed for another project, nor a live migration among replicas', async () => {
    const other = await api.transfer(api.admin, 'other');
    const live = (await member.post('/transfers', { transfer: { ...ends(), scenario: 'live_migration' } })).json();
    const { body } = await member.get('/replicas');
    expect(body).not.toContain(other);
    expect(body).not.toContain(live.transfer.id);
    expect((await member.get(`/replicas/${other}`)).statusCode).toBe(404);
  });
});

describe('a migration', () => {
  test('of a replica is its deployment', async () => {
    const replica = await executed();
    const answer = await member.post('/migrations', { migration: { replica_id: replica, clone_disks: true } });
    expect(answer.statusCode).toBe(200);
    const { id } = answer.json().migration;
    expect((await ended(`/migrations/${id}`, 'migration')).last_execution_status).toBe('COMPLETED');
    const done = await migration(id);
    expect(Object.keys(done).sort()).toEqual([...LEGACY_KEYS.migration].sort());
    expect(done).toMatchObject({ type: 'migration', replica_id: replica, transfer_result: { web01: {} } });
    expect(done.tasks.map((task: { task_type: string }) => task.task_type)).toContain(
      'FINALIZE_REPLICA_INSTANCE_DEPLOYMENT',
    );
    expect((await member.get(`/deployments/${id}`)).json().deployment.transfer_id).toBe(replica);
    expect((await member.get('/migrations')).body).toContain(id);
    expect((await member.delete(`/migrations/${id}`)).statusCode).toBe(204);
    expect((await member.get(`/migrations/${id}`)).statusCode).toBe(404);
  });

  test('of a replica that is not there is refused in the older words', async () => {
    const refused = await member.post('/migrations', { migration: { replica_id: 'nope' } });
    expect([refused.statusCode, refused.json().error.message]).toEqual([
      404,
      "NotFound: Replica with ID 'nope' not found.",
    ]);
    const { id } = await createReplica();
    const early = await member.post('/migrations', { migration: { replica_id: id } });
    expect([early.statusCode, early.json().error.message]).toEqual([
      400,
      expect.stringMatching(/^A replica must have/),
    ]);
  });

  test('in one go runs as often as asked, then deploys, and is one object', async () => {
    const answer = await member.post('/migrations', {
      migration: {
        ...ends(),
        replication_count: 3,
        shutdown_instances: true,
        network_map: { a: 'b' },
        skip_os_morphing: true,
      },
    });
    expect(answer.statusCode).toBe(200);
    const started = answer.json().migration;
    expect(started).toMatchObject({
      replica_id: null,
      replication_count: 3,
      shutdown_instances: true,
      last_execution_status: 'RUNNING',
    });
    const end = await ended(`/migrations/${started.id}`, 'migration');
    expect(end.last_execution_status).toBe('COMPLETED');
    const done = await migration(started.id);
    expect(Object.keys(done).sort()).toEqual([...LEGACY_KEYS.migration].sort());
    const types = done.tasks.map((task: { task_type: string }) => task.task_type);
    expect(types.filter((type: string) => type === 'REPLICATE_DISKS')).toHaveLength(3);
    expect(types.filter((type: string) => type === 'SHUTDOWN_INSTANCE')).toHaveLength(1);
    expect(types).toContain('DEPLOY_REPLICA_INSTANCE_RESOURCES');
    expect(Object.keys(done.transfer_result)).toEqual(['web01']);
    const list = (await member.get('/migrations')).json().migrations;
    expect(list.filter((one: { id: string }) => one.id === started.id)).toHaveLength(1);
    expect((await member.post(`/migrations/${started.id}/actions`, { cancel: { force: false } })).statusCode).toBe(400);
    expect((await member.delete(`/migrations/${started.id}`)).statusCode).toBe(204);
  });

  test.each([
    [{}, 'lacks a required attribute: "origin_endpoint_id"'],
    [{ replication_count: 0 }, "'replication_count' must be an integer between 1 and 10. Got: 0"],
    [{ replication_count: 11 }, 'between 1 and 10. Got: 11'],
    [{ replica_id: 'nope' }, "Replica with ID 'nope' not found."],
    [{ instances: 'web01' }, 'migration.instances must be array'],
  ])('%j is refused with what is wrong', async (more, reason) => {
    const base = Object.keys(more).length === 0 || 'replica_id' in more ? {} : ends();
    const answer = await member.post('/migrations', { migration: { ...base, ...more } });
    expect([400, 404]).toContain(answer.statusCode);
    expect(answer.json().error.message).toContain(reason);
  });

  test('of another project is not there', async () => {
    const other = (
      await api.admin.post('/transfers', {
        transfer: { ...ends(), scenario: 'live_migration' },
      })
    ).json().transfer.id;
    expect((await member.get(`/migrations/${other}`)).statusCode).toBe(404);
    expect((await member.delete(`/migrations/${other}`)).statusCode).toBe(404);
    expect((await member.get('/migrations')).body).not.toContain(other);
  });
});

test('who may not make, run or delete transfers may not do it in older words either', async () => {
  const policies = {
    'migration:transfers:create': 'role:admin',
    'migration:transfers:delete': 'role:admin',
    'migration:transfer_executions:cancel': 'role:admin',
  };
  await using strict = await ServedApi.start({ config: { policies } });
  const origin = await strict.endpoint(strict.member, 'from');
  const destination = await strict.endpoint(strict.member, 'to');
  const direct = { origin_endpoint_id: origin, destination_endpoint_id: destination, instances: ['web01'] };
  const refused = await strict.member.post('/migrations', { migration: direct });
  expect([refused.statusCode, refused.json().error.message]).toEqual([
    403,
    "PolicyNotAuthorized: Policy doesn't allow migration:transfers:create to be performed.",
  ]);
  const { id } = await insertTransfer(strict.db, {
    project_id: strict.member.projectId,
    user_id: 'mona',
    scenario: 'live_migration',
    instances: JSON.stringify(['web01']),
    origin_endpoint_id: origin,
    destination_endpoint_id: destination,
  });
  expect((await strict.member.delete(`/migrations/${id}`)).statusCode).toBe(403);
  expect((await strict.member.post(`/migrations/${id}/actions`, { cancel: null })).statusCode).toBe(403);
  expect((await strict.member.get(`/migrations/${id}`)).statusCode).toBe(200);
  // What replicas are deployed with is another matter.
  const early = await strict.member.post('/migrations', { migration: { replica_id: 'nope' } });
  expect(early.statusCode).toBe(404);
});
