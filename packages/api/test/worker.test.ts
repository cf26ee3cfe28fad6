import { createPublicKey } from 'node:crypto';
import { rmSync } from 'node:fs';
import { checkReceipt, merkleRoot } from '@godwit/disk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MIB, sparseBytes } from '../../engine/test/disk-files.ts';
import { keysOf } from './contract-keys.ts';
import { type Client, ServedApi } from './served-api.ts';

let api: ServedApi;
let member: Client;
let from: string;
let to: string;
let folder: string;
beforeAll(async () => {
  api = await ServedApi.start();
  member = api.member;
  folder = `${member.projectId}-source`;
  api.installation.instance(folder, 'web 1/ä'.replace('/', '-'), {
    vda: sparseBytes(3 * MIB),
    vdb: Buffer.alloc(100_000),
  });
  api.installation.instance(folder, 'db1', { vda: sparseBytes(MIB) });
  from = await api.endpoint(member, 'source');
  to = await api.endpoint(member, 'target');
  await api.installation.worker().ready;
});
afterAll(() => api[Symbol.asyncDispose]());

const WEB = 'web 1-ä';
const b64 = (text: string) => Buffer.from(text).toString('base64url');

/** Waits for the end of an execution or a deployment; answers its status. */
async function untilEnded(path: string): Promise<string> {
  let status = '';
  await api.installation.eventually(`${path} has ended`, async () => {
    const { execution, deployment } = (await member.get(path)).json();
    status = execution?.status ?? deployment.last_execution_status;
    return ['COMPLETED', 'ERROR', 'CANCELED'].includes(status);
  });
  return status;
}

describe('what lies behind an endpoint', () => {
  test('a connection is valid, or not and why', async () => {
    const act = async (id: string) =>
      (await member.post(`/endpoints/${id}/actions`, { 'validate-connection': null })).json();
    expect(await act(from)).toEqual({ 'validate-connection': { valid: true, message: null } });
    const gone = await api.endpoint(member, 'gone');
    rmSync(api.installation.folder(`${member.projectId}-gone`), { recursive: true });
    const answer = await act(gone);
    expect(answer['validate-connection'].valid).toBe(false);
    expect(answer['validate-connection'].message).toContain('does not exist');
  });

  test('is reached by a worker that tells of its machine as diagnostics do', async () => {
    const { services } = (await api.admin.get('/services')).json();
    const { application, hostname, ip_addresses, packages, os_info } = services[0].specs;
    const { diagnostics } = (await api.admin.get('/diagnostics')).json();
    expect(diagnostics).toContainEqual({ application, hostname, ip_addresses, packages, os_info });
    expect(application).toBe('godwit-worker');
    expect(packages).toContain(`node==${process.versions.node}`);
    expect(os_info).toMatchObject({ system: 'Linux' });
  });

  test('instances are listed, shown by their base64 id, and entered into the inventory', async () => {
    const { instances } = (await member.get(`/endpoints/${from}/instances?refresh=True`)).json();
    expect(instances.map((one: { id: string }) => one.id)).toEqual(['db1', WEB]);
    for (const one of instances) {
      for (const key of ['id', 'name', 'num_cpu', 'memory_mb', 'os_type']) expect(one).toHaveProperty(key);
    }
    const shown = await member.get(`/endpoints/${from}/instances/${b64(WEB)}`);
    expect(shown.json().instance).toMatchObject({ id: WEB, firmware_type: 'BIOS' });
    expect(Object.keys(shown.json().instance.devices).sort()).toEqual(
      ['cdroms', 'controllers', 'disks', 'floppies', 'nics', 'serial_ports'].sort(),
    );
    expect((await member.get(`/endpoints/${from}/instances?limit=0`)).json()).toEqual({ instances: [] });
    const unknown = await member.get(`/endpoints/${from}/instances/${b64('nobody')}`);
    expect(unknown.statusCode).toBe(404);
    const { resources } = (
      await member.get(`/resources?endpoint_id=${from}&kind=instance&sort_key=name&sort_dir=asc`)
    ).json();
    expect(resources.map((one: { name: string; migrated: boolean }) => [one.name, one.migrated])).toEqual([
      ['db1', false],
      [WEB, false],
    ]);
    expect((await member.get(`/resources/${resources[0].id}`)).json().resource).toEqual(resources[0]);
    expect((await member.get('/resources?kind=teapot')).statusCode).toBe(400);
  });

  test('the inventory is CSV, or the CSV as one JSON string', async () => {
    const csv = await member.get(`/endpoints/${from}/inventory`, { accept: 'text/csv' });
    expect(csv.headers['content-type']).toMatch(/^text\/csv/);
    const lines = csv.body.split('\r\n');
    expect(lines[0]).toMatch(/^id,name,num_cpu,memory_mb,os_type/);
    expect(lines).toHaveLength(4);
    const json = await member.get(`/endpoints/${from}/inventory`);
    expect(json.json()).toBe(csv.body);
  });

  test('an ability that the provider lacks is refused', async () => {
    for (const path of ['networks', 'storage', 'source-options', 'destination-options']) {
      const answer = await member.get(`/endpoints/${from}/${path}`);
      expect([path, answer.statusCode]).toEqual([path, 400]);
      expect(answer.json().error.message).toContain('does not support');
    }
  });

  test('limits are set and lifted, and hold nonsense off', async () => {
    const path = `/endpoints/${from}/limits`;
    expect((await member.get(path)).json()).toEqual({ limits: { rate_limit: null } });
    expect((await member.put(path, { limits: { rate_limit: 1e9 } })).json()).toEqual({ limits: { rate_limit: 1e9 } });
    expect((await member.put(path, { limits: { rate_limit: -1 } })).statusCode).toBe(400);
    expect((await member.put(path, { limits: { rate_limit: null } })).json()).toEqual({ limits: { rate_limit: null } });
  });
});

describe('limits of a transfer', () => {
  test('are set and lifted, also while it runs', async () => {
    const ends = { origin_endpoint_id: from, destination_endpoint_id: to, instances: [WEB] };
    const { id } = (await member.post('/transfers', { transfer: { ...ends, options: { verify: 'whole' } } })).json()
      .transfer;
    const limits = (rate_limit: unknown) => member.put(`/transfers/${id}/limits`, { limits: { rate_limit } });
    expect((await limits(65_536)).json()).toEqual({ limits: { rate_limit: 65_536 } });
    const run = (await member.post(`/transfers/${id}/executions`, { execution: {} })).json().execution.id;
    expect((await limits(null)).json()).toEqual({ limits: { rate_limit: null } });
    expect((await member.get(`/transfers/${id}`)).json().transfer.options).toEqual({ verify: 'whole' });
    expect((await limits(0)).statusCode).toBe(400);
    expect((await api.admin.get(`/transfers/${id}/limits`)).statusCode).toBe(200);
    expect(await untilEnded(`/transfers/${id}/executions/${run}`)).toBe('COMPLETED');
  });
});

describe('a transfer that runs', () => {
  let transfer: string;
  let execution: string;
  beforeAll(async () => {
    const answer = await member.post('/transfers', {
      transfer: { origin_endpoint_id: from, destination_endpoint_id: to, instances: [WEB] },
    });
    transfer = answer.json().transfer.id;
    execution = (await member.post(`/transfers/${transfer}/executions`, { execution: {} })).json().execution.id;
    const path = `/transfers/${transfer}/executions/${execution}`;
    expect(await untilEnded(path)).toBe('COMPLETED');
  });

  test('shows its tasks, events and progress in the shapes of the contract', async () => {
    const run = (await member.get(`/transfers/${transfer}/executions/${execution}`)).json().execution;
    const updates = run.tasks.flatMap((task: { progress_updates: object[] }) => task.progress_updates);
    expect(updates.length).toBeGreaterThan(0);
    for (const update of updates) expect(Object.keys(update).sort()).toEqual(keysOf('progress'));
    const events = run.tasks.flatMap((task: { events: object[] }) => task.events);
    for (const event of events) expect(Object.keys(event).sort()).toEqual(keysOf('event'));
    const disks = updates.filter((update: { disk: object | null }) => update.disk !== null);
    expect(disks.map((update: { disk: { disk_id: string } }) => update.disk.disk_id).sort()).toEqual(['vda', 'vdb']);
    const shown = (await member.get(`/transfers/${transfer}?include_task_info=1`)).json().transfer;
    expect(shown.last_execution_status).toBe('COMPLETED');
    expect(Object.keys(shown.info)).toEqual([WEB]);
    const [listed] = (await member.get('/transfers?include_task_info=true&limit=1')).json().transfers;
    expect(listed.executions).toHaveLength(1);
  });

  test('leaves receipts that a stranger can check, with their leaves', async () => {
    const { receipts } = (await member.get(`/receipts?execution_id=${execution}&sort_key=disk_id&sort_dir=asc`)).json();
    expect(receipts.map((one: { disk_id: string }) => one.disk_id)).toEqual(['vda', 'vdb']);
    for (const { id, target_root } of receipts) {
      const document = (await member.get(`/receipts/${id}`)).json();
      const { key } = (await member.get(`/receipts/keys/${document.key_id}`)).json();
      expect(checkReceipt(document, createPublicKey(key.public_key)).target_root).toBe(target_root);
      const leaves = await member.get(`/receipts/${id}/leaves`);
      expect(leaves.headers['content-type']).toBe('application/octet-stream');
      expect(leaves.rawPayload.length).toBe(Math.ceil(document.size / 65_536) * 32);
      expect(Buffer.from(merkleRoot(leaves.rawPayload)).toString('hex')).toBe(target_root);
      expect((await api.admin.get(`/receipts/${id}`)).statusCode).toBe(200);
    }
    expect((await member.get('/receipts/keys/none')).statusCode).toBe(404);
    expect((await member.get('/receipts?result=maybe')).statusCode).toBe(400);
  });

  test('tells its disks and what it made on the platforms', async () => {
    const { disks } = (await member.get(`/transfers/${transfer}/disks`)).json();
    expect(
      disks.map((disk: { disk_id: string; complete_number: number }) => [disk.disk_id, disk.complete_number]),
    ).toEqual([
      ['vda', 1],
      ['vdb', 1],
    ]);
    const { ledger } = (await member.get(`/ledger?transfer_id=${transfer}&state=made`)).json();
    expect(ledger.map((entry: { kind: string; keep: string }) => [entry.kind, entry.keep])).toContainEqual([
      'disk',
      'transfer',
    ]);
    expect((await member.get('/ledger?state=lost')).statusCode).toBe(400);
  });

  test('is deployed; the deployment has the keys of the contract and hoists its tasks', async () => {
    const made = await member.post('/deployments', {
      deployment: { transfer_id: transfer, clone_disks: true, user_scripts: { global: {}, instances: {} } },
    });
    expect(made.statusCode).toBe(200);
    const { deployment } = made.json();
    expect(Object.keys(deployment).sort()).toEqual(keysOf('deployment', ['tasks']));
    expect(deployment).toMatchObject({ transfer_id: transfer, transfer_scenario_type: 'replica', test: false });
    const path = `/deployments/${deployment.id}`;
    const status = await untilEnded(path);
    expect(status).toBe('COMPLETED');
    const done = (await member.get(path)).json().deployment;
    expect(Object.keys(done.transfer_result)).toEqual([WEB]);
    const [listed] = (await member.get('/deployments?limit=1')).json().deployments;
    expect(Object.keys(listed).sort()).toEqual(keysOf('deployment'));
    const [withTasks] = (await member.get('/deployments/detail?include_task_info=true&limit=1')).json().deployments;
    expect(Object.keys(withTasks).sort()).toEqual(keysOf('deployment', ['tasks', 'info']));
    expect((await member.delete(path)).statusCode).toBe(204);
  });

  test('run again supersedes the leaves of its first receipts where a disk changed', async () => {
    const [first] = (await member.get(`/receipts?execution_id=${execution}&disk_id=vda`)).json().receipts;
    api.installation.instance(folder, WEB, { vda: sparseBytes(3 * MIB), vdb: Buffer.alloc(100_000) });
    const run = (await member.post(`/transfers/${transfer}/executions`, { execution: {} })).json().execution;
    const path = `/transfers/${transfer}/executions/${run.id}`;
    expect(await untilEnded(path)).toBe('COMPLETED');
    const gone = await member.get(`/receipts/${first.id}/leaves`);
    expect(gone.statusCode).toBe(410);
    expect(gone.json().error.message).toContain('execution 2 has changed the disk since');
    expect((await member.get(`/receipts/${first.id}`)).statusCode).toBe(200);
  });

  test('has its disks deleted by an execution, and shows in the metrics', async () => {
    const answer = await member.post(`/transfers/${transfer}/actions`, { 'delete-disks': null });
    expect(answer.statusCode).toBe(200);
    const run = answer.json().execution;
    expect(run.type).toBe('transfer_disks_delete');
    const path = `/transfers/${transfer}/executions/${run.id}`;
    expect(await untilEnded(path)).toBe('COMPLETED');
    expect((await member.get(`/transfers/${transfer}/disks`)).json()).toEqual({ disks: [] });
    const counts = (await api.app.inject('/metrics')).body;
    expect(counts).not.toContain('godwit_disk_bytes');
    const metrics = (await api.admin.request('GET', '/metrics')).body;
    expect(metrics).toContain('godwit_disk_bytes');
    expect(metrics).toMatch(/^godwit_executions\{status="COMPLETED"\} [1-9]/m);
    expect(metrics).toMatch(/^godwit_services\{status="UP"\} 1$/m);
    expect(metrics).toMatch(/^nodejs_eventloop_lag_seconds /m);
    expect(metrics).toMatch(
      /^godwit_http_request_seconds_count\{method="GET",route="\/v1\/transfers\/:transfer_id\/disks",status="200"\} /m,
    );
  });
});

describe('a minion pool', () => {
  let vault: string;
  let pool: string;
  beforeAll(async () => {
    const endpoint = { name: 'pooled', type: 'folder', connection_info: { path: api.installation.folder('pooled') } };
    vault = (await member.post('/endpoints', { endpoint })).json().endpoint.id;
  });
  const shown = async () => (await member.get(`/minion_pools/${pool}`)).json().minion_pool;
  const becomes = (status: string) =>
    api.installation.eventually(`the pool is ${status}`, async () => (await shown()).status === status);

  test('is made at once, tells its history and its machines, and is removed again', async () => {
    const minion_pool = {
      name: 'helpers',
      endpoint_id: vault,
      os_type: 'linux',
      platform: 'destination',
      environment_options: {},
      minimum_minions: 2,
    };
    const made = (await member.post('/minion_pools', { minion_pool })).json().minion_pool;
    pool = made.id;
    expect(made.status).toBe('IN_MAINTENANCE');
    await becomes('ALLOCATED');
    const { events, minion_machines: machines, progress_updates: updates, shared_resources: shared } = await shown();
    expect(machines).toHaveLength(2);
    for (const machine of machines) {
      expect(Object.keys(machine).sort()).toEqual(keysOf('minionMachine'));
      expect(machine).toMatchObject({
        pool_id: pool,
        allocation_status: 'AVAILABLE',
        power_status: 'POWERED_ON',
        allocated_action: null,
        connection_info: { ip: '127.0.0.1', port: 22, username: 'me' },
      });
    }
    expect(Object.keys(shared)).toEqual(['path']);
    expect(events.map((event: { index: number }) => event.index)).toEqual(events.map((_: unknown, n: number) => n + 1));
    expect(updates.at(-1)).toMatchObject({ current_step: 3, total_steps: 3, message: 'Making 2 machine(s)' });
    expect((await member.post(`/minion_pools/${pool}/actions`, { refresh: null })).json().minion_pool.status).toBe(
      'IN_MAINTENANCE',
    );
    await becomes('ALLOCATED');
    await member.post(`/minion_pools/${pool}/actions`, { deallocate: { force: false } });
    await becomes('DEALLOCATED');
    expect((await shown()).minion_machines).toEqual([]);
    expect((await member.delete(`/minion_pools/${pool}`)).statusCode).toBe(204);
  });

  test('that does not fit a transfer is refused when the transfer is made', async () => {
    const refusal = async (more: object) => {
      const transfer = { origin_endpoint_id: from, destination_endpoint_id: vault, instances: [WEB], ...more };
      const answer = await member.post('/transfers', { transfer });
      expect(answer.statusCode).toBe(400);
      return answer.json().error.message;
    };
    expect(await refusal({ destination_minion_pool_id: pool })).toContain('Could not find minion pool with ID');
    const minion_pool = {
      name: 'other',
      endpoint_id: vault,
      os_type: 'linux',
      platform: 'source',
      environment_options: {},
      skip_allocation: true,
    };
    pool = (await member.post('/minion_pools', { minion_pool })).json().minion_pool.id;
    expect(await refusal({ destination_minion_pool_id: pool })).toContain("is configured as a 'source' pool");
    expect(await refusal({ origin_minion_pool_id: pool })).toContain('belongs to a different endpoint');
  });
});
