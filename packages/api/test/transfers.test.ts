// Over 400 lines: the whole contract of one noun, route by route.
import { randomUUID } from 'node:crypto';
import { setExecutionStatus } from '@godwit/store';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MIB, sparseBytes } from '../../engine/test/disk-files.ts';
import { keysOf, TIMESTAMP, UUID } from './contract-keys.ts';
import { ServedApi } from './served-api.ts';

let api: ServedApi;
let from: string;
let to: string;
beforeAll(async () => {
  api = await ServedApi.start();
  from = await api.endpoint(api.member, 'from');
  to = await api.endpoint(api.member, 'to');
});
afterAll(() => api[Symbol.asyncDispose]());

const create = (more: object = {}) =>
  api.member.post('/transfers', {
    transfer: { origin_endpoint_id: from, destination_endpoint_id: to, instances: ['web01'], ...more },
  });
const message = async (more: object) => {
  const answer = await create(more);
  expect(answer.statusCode).toBe(400);
  return answer.json().error.message as string;
};

describe('a transfer', () => {
  test('has exactly the keys and defaults of the contract', async () => {
    const answer = await create({ clone_disks: null, skip_os_morphing: null, network_map: { a: 'b' } });
    expect(answer.statusCode).toBe(200);
    const { transfer } = answer.json();
    expect(Object.keys(transfer).sort()).toEqual(keysOf('transfer'));
    expect(transfer.id).toMatch(UUID);
    expect(transfer.created_at).toMatch(TIMESTAMP);
    expect(transfer).toMatchObject({
      base_id: transfer.id,
      type: 'transfer',
      scenario: 'replica',
      instances: ['web01'],
      executions: [],
      reservation_id: null,
      notes: null,
      clone_disks: true,
      skip_os_morphing: false,
      clustered: false,
      network_map: { a: 'b' },
      destination_environment: { network_map: { a: 'b' }, storage_mappings: {} },
      user_scripts: { global: {}, instances: {} },
      last_execution_status: 'UNEXECUTED',
      transfer_result: null,
      deleted: '0',
      updated_at: null,
    });
    expect((await api.member.get(`/transfers/${transfer.id}`)).json()).toEqual({ transfer });
    const withInfo = (await api.member.get(`/transfers/${transfer.id}?include_task_info=True`)).json().transfer;
    expect(Object.keys(withInfo).sort()).toEqual(keysOf('transfer', ['info']));
  });

  test('is reached with the project in the path as well, and with a format suffix', async () => {
    const { id } = (await create()).json().transfer;
    const { projectId } = api.member;
    for (const path of [`/v1/${projectId}/transfers/${id}`, `/v1/transfers/${id}.json`]) {
      expect((await api.member.request('GET', path)).json().transfer.id).toBe(id);
    }
    const foreign = await api.member.request('GET', `/v1/${randomUUID()}/transfers/${id}`);
    expect([foreign.statusCode, foreign.json().error.message]).toEqual([400, 'Malformed request url']);
  });

  test('of several instances is clustered', async () => {
    expect((await create({ instances: ['a', 'b'] })).json().transfer.clustered).toBe(true);
  });

  test('is refused in the words of the contract', async () => {
    expect(await message({ scenario: 'teleport' })).toBe(
      "Invalid input received: Unsupported Transfer creation scenario 'teleport', must be one of: ['replica', 'live_migration']",
    );
    expect(await message({ instances: [] })).toBe(
      'Invalid input received: No instance identifiers provided for transfer action.',
    );
    expect(await message({ instances: ['a', 'a'] })).toContain('list contained duplicates');
    expect(await message({ destination_endpoint_id: from })).toBe('Origin and destination cannot be the same');
    const nowhere = randomUUID();
    expect(await message({ origin_endpoint_id: nowhere })).toBe(
      `Invalid input received: Endpoint with ID '${nowhere}' not found.`,
    );
    expect(await message({ storage_mappings: { disk_mappings: [{ disk_id: 'a' }], colour: 1 } })).toMatch(
      /must not have "colour".*lacks "destination"/,
    );
    expect(await message({ instance_osmorphing_minion_pool_mappings: { other: 'pool' } })).toContain(
      "which are not part of the Transfer's declared instances",
    );
    expect(await message({ clone_disks: 'yes' })).toContain('clone_disks');
    const missing = await api.member.post('/transfers', { transfer: { instances: ['a'] } });
    expect(missing.json().error.message).toMatch(
      /^The transfer creation body lacks a required attribute: "origin_endpoint_id"; .*"destination_endpoint_id"/,
    );
  });

  test('between two endpoints of the same connection is refused', async () => {
    const twin = async () => {
      const connection_info = { path: api.installation.folder('twin') };
      return (
        await api.member.post('/endpoints', { endpoint: { name: 'twin', type: 'folder', connection_info } })
      ).json().endpoint.id;
    };
    expect(await message({ origin_endpoint_id: await twin(), destination_endpoint_id: await twin() })).toBe(
      'Origin and destination cannot be the same',
    );
  });

  test('takes no endpoint of another tenant', async () => {
    const foreign = await api.endpoint(api.admin, 'foreign');
    expect(await message({ origin_endpoint_id: foreign })).toContain(`Endpoint with ID '${foreign}' not found.`);
  });

  test('keeps user scripts in their long form with Unix line ends', async () => {
    const { transfer } = (
      await create({
        user_scripts: {
          global: { linux: 'echo 1\r\necho 2\r\n', windows: [{ payload: 'dir\r\n' }] },
          instances: { web01: [{ payload: 'x\r\n', phase: 'replica_first_boot' }] },
        },
      })
    ).json();
    expect(transfer.user_scripts).toEqual({
      global: {
        linux: [{ phase: 'osmorphing_post_os_mount', payload: 'echo 1\necho 2\n' }],
        windows: [{ phase: 'osmorphing_post_os_mount', payload: 'dir\r\n' }],
      },
      instances: { web01: [{ phase: 'replica_first_boot', payload: 'x\n' }] },
    });
    expect(await message({ user_scripts: { global: { linux: ' \n' } } })).toContain('Empty script received.');
    expect(await message({ user_scripts: { global: { amiga: 'x' } } })).toContain('os_type "amiga" is invalid');
    expect(await message({ user_scripts: { instances: { web01: [{ phase: 'later', payload: 'x' }] } } })).toContain(
      'Unknown user script phase: later',
    );
  });

  test('is updated by merging, in an execution that judges the new settings at both ends', async () => {
    api.installation.instance(`${api.member.projectId}-from`, 'web01', { vda: sparseBytes(MIB) });
    const { transfer: before } = (
      await create({
        network_map: { a: '1', b: '2' },
        storage_mappings: { default: 'slow', backend_mappings: [{ source: 's', destination: 'd' }] },
        user_scripts: { global: { linux: 'one' } },
        options: { rate_limit: 1_000_000 },
      })
    ).json();
    const path = `/transfers/${before.id}`;
    const answer = await api.member.put(path, {
      transfer: {
        network_map: { b: '3' },
        notes: 'soon',
        clone_disks: false,
        storage_mappings: { backend_mappings: [{ source: 's', destination: 'e' }] },
        user_scripts: { global: { linux: null, windows: 'two' } },
      },
    });
    expect(answer.statusCode).toBe(200);
    const { execution } = answer.json();
    expect(Object.keys(execution).sort()).toEqual(keysOf('execution'));
    expect(execution).toMatchObject({ type: 'transfer_update', status: 'RUNNING', action_id: before.id, number: 1 });
    expect(execution.tasks.map((task: { task_type: string }) => task.task_type)).toEqual([
      'GET_INSTANCE_INFO',
      'UPDATE_SOURCE_TRANSFER',
      'UPDATE_DESTINATION_TRANSFER',
    ]);
    for (const task of execution.tasks) expect(Object.keys(task).sort()).toEqual(keysOf('task'));
    const waiting = (await api.member.get(path)).json().transfer;
    expect(waiting).toMatchObject({ network_map: { a: '1', b: '2' }, notes: null, clone_disks: true });

    const worker = api.installation.worker();
    expect(await api.installation.until(execution.id)).toBe('COMPLETED');
    await worker.kill();
    const { transfer } = (await api.member.get(path)).json();
    expect(transfer).toMatchObject({
      network_map: { a: '1', b: '3' },
      notes: 'soon',
      clone_disks: false,
      skip_os_morphing: false,
      storage_mappings: { default: 'slow', backend_mappings: [{ source: 's', destination: 'e' }], disk_mappings: [] },
      user_scripts: { global: { windows: [{ phase: 'osmorphing_post_os_mount', payload: 'two' }] }, instances: {} },
      options: { rate_limit: 1_000_000 },
      last_execution_status: 'COMPLETED',
    });
    expect(transfer.user_scripts.global).not.toHaveProperty('linux');
  });

  test('keeps its settings when the update is canceled; an update of nothing is one all the same', async () => {
    const id = await api.transfer(api.member, 'undecided');
    const update = async (transfer: object) =>
      (await api.member.put(`/transfers/${id}`, { transfer })).json().execution.id;
    for (const change of [{ notes: 'never' }, {}]) {
      const path = `/transfers/${id}/executions/${await update(change)}`;
      expect((await api.member.get(path)).json().execution).toMatchObject({ type: 'transfer_update' });
      expect((await api.member.post(`${path}/actions`, { cancel: { force: true } })).statusCode).toBe(204);
      expect((await api.member.get(path)).json().execution.status).toBe('CANCELED');
    }
    expect((await api.member.get(`/transfers/${id}`)).json().transfer).toMatchObject({ notes: null });
  });

  test('does not start an update that is wrong by itself', async () => {
    const id = await api.transfer(api.member, 'wrong');
    const answer = await api.member.put(`/transfers/${id}`, {
      transfer: { instance_osmorphing_minion_pool_mappings: { other: 'pool' } },
    });
    expect([answer.statusCode, answer.json().error.message]).toEqual([
      400,
      expect.stringContaining("which are not part of the Transfer's declared instances"),
    ]);
    expect((await api.member.get(`/transfers/${id}/executions`)).json()).toEqual({ executions: [] });
  });

  test('cannot be given other endpoints, instances or scenario', async () => {
    const { id } = (await create()).json().transfer;
    const refusal = async (change: object) => {
      const answer = await api.member.put(`/transfers/${id}`, { transfer: change });
      expect(answer.statusCode).toBe(400);
      return answer.json().error.message;
    };
    expect(await refusal({ origin_endpoint_id: to })).toContain('cannot be updated after its creation');
    expect(await refusal({ instances: ['b'] })).toContain('The list of instances of a Transfer cannot be updated');
    expect(await refusal({ scenario: 'live_migration' })).toContain('Changing Transfer creation scenario');
    const unknown = randomUUID();
    const nobody = await api.member.put(`/transfers/${unknown}`, { transfer: {} });
    expect([nobody.statusCode, nobody.json().error.message]).toEqual([
      400,
      `Invalid input received: Transfer with ID '${unknown}' not found.`,
    ]);
  });

  test('that does not exist, or is another tenant’s, is 404', async () => {
    const { id } = (await create()).json().transfer;
    const admins = await api.transfer(api.admin, 'admins');
    for (const unknown of [randomUUID(), 'nope', admins]) {
      const answer = await api.member.get(`/transfers/${unknown}`);
      expect(answer.json().error).toEqual({
        fault: 'itemNotFound',
        code: 404,
        message: `NotFound: Transfer with ID '${unknown}' not found.`,
      });
      expect((await api.member.delete(`/transfers/${unknown}`)).json().error.message).toBe(
        `Transfer with ID '${unknown}' not found.`,
      );
    }
    expect((await api.admin.get(`/transfers/${id}`)).statusCode).toBe(200);
  });

  test('once deleted is gone, and shown only to who asks for deleted ones', async () => {
    const { id } = (await create({ notes: 'going' })).json().transfer;
    const deleted = await api.member.delete(`/transfers/${id}`);
    expect([deleted.statusCode, deleted.body]).toEqual([204, '']);
    expect((await api.member.get(`/transfers/${id}`)).statusCode).toBe(404);
    const plain = (await api.member.get('/transfers')).json().transfers.map((t: { id: string }) => t.id);
    expect(plain).not.toContain(id);
    const all = (await api.member.get('/transfers?show_deleted=yes')).json().transfers;
    const gone = all.find((t: { id: string }) => t.id === id);
    expect(gone).toMatchObject({ deleted: id, deleted_at: expect.stringMatching(TIMESTAMP) });
  });

  test('without disks has none to delete', async () => {
    const { id } = (await create()).json().transfer;
    const answer = await api.member.post(`/transfers/${id}/actions`, { 'delete-disks': null });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error.message).toContain('does not have volumes information for any instances');
  });
});

describe('a list of transfers', () => {
  test('is paged by marker and limit, newest first', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.unshift((await create({ notes: `page ${i}` })).json().transfer.id);
    const seen: string[] = [];
    for (let marker = ''; seen.length < 5; marker = seen.at(-1)!) {
      const page = (await api.member.get(`/transfers?limit=2${marker && `&marker=${marker}`}`)).json().transfers;
      expect(page.length).toBe(2);
      seen.push(...page.map((t: { id: string }) => t.id));
    }
    expect(seen.slice(0, 5)).toEqual(made);
    expect((await api.member.get('/transfers/detail?limit=1')).json().transfers).toHaveLength(1);
  });

  test('reads its parameters as the contract does', async () => {
    const get = async (query: string) => {
      const answer = await api.member.get(`/transfers?${query}`);
      return [answer.statusCode, answer.json().error?.message ?? answer.json().transfers.length];
    };
    expect(await get('limit=0')).toEqual([200, 0]);
    expect(await get('limit=abc')).toEqual([400, 'Invalid integer: abc']);
    expect((await get('limit=-2'))[0]).toBe(400);
    expect((await get('marker=unknown&limit=1'))[0]).toBe(200);
    expect(await get('sort_key=notes')).toEqual([
      400,
      'Invalid input received: Sort direction array size exceeds sort key array size.',
    ]);
    expect(await get('sort_key=notes&sort_dir=up')).toEqual([
      400,
      "Invalid input received: Unknown sort direction: up, must be 'desc' or 'asc'.",
    ]);
    expect((await get('sort_key=secret&sort_dir=asc'))[0]).toBe(400);
    for (const key of ['id', 'updated_at', 'scenario', 'origin_minion_pool_id', 'reservation_id', 'clone_disks']) {
      expect((await get(`sort_key=${key}&sort_dir=asc&limit=1`))[0], key).toBe(200);
    }
    expect((await get('status=FLYING'))[0]).toBe(400);
    for (const status of ['SCHEDULED', 'UNEXECUTED', 'PENDING', 'COMPLETED']) {
      expect((await get(`status=${status}`))[0], status).toBe(200);
    }
    expect((await get('show_deleted=maybe&limit=1'))[0]).toBe(200);
    const sorted = (await api.member.get('/transfers?sort_key=notes&sort_dir=asc&sort_key=id&sort_dir=desc')).json();
    const notes = sorted.transfers.map((t: { notes: string | null }) => t.notes ?? '');
    expect(notes).toEqual([...notes].sort());
  });

  test('is filtered by status and by tenant', async () => {
    const { transfers } = (await api.member.get('/transfers?status=UNEXECUTED')).json();
    expect(new Set(transfers.map((t: { last_execution_status: string }) => t.last_execution_status))).toEqual(
      new Set(['UNEXECUTED']),
    );
    expect(new Set(transfers.map((t: { project_id: string }) => t.project_id))).toEqual(
      new Set([api.member.projectId]),
    );
  });
});

describe('an execution', () => {
  const start = (id: string, execution: object = {}) => api.member.post(`/transfers/${id}/executions`, { execution });

  test('has exactly the keys of the contract, and so have its tasks', async () => {
    const id = await api.transfer(api.member, 'run');
    const answer = await start(id, { shutdown_instances: false, auto_deploy: null });
    expect(answer.statusCode).toBe(200);
    const { execution } = answer.json();
    expect(Object.keys(execution).sort()).toEqual(keysOf('execution'));
    expect(execution).toMatchObject({ action_id: id, number: 1, type: 'transfer_execution', status: 'RUNNING' });
    expect(execution.tasks.length).toBeGreaterThan(3);
    for (const task of execution.tasks) expect(Object.keys(task).sort()).toEqual(keysOf('task'));
    const indexes = execution.tasks.map((task: { index: number }) => task.index);
    expect(indexes).toEqual([...indexes].sort((a, b) => a - b));
    expect((await api.member.get(`/transfers/${id}/executions/${execution.id}`)).json()).toEqual({ execution });
    for (const path of ['', '/detail', '?limit=10&sort_key=number&sort_dir=desc']) {
      expect((await api.member.get(`/transfers/${id}/executions${path}`)).json()).toEqual({ executions: [execution] });
    }
  });

  test('starts without its envelope, and not beside another', async () => {
    const id = await api.transfer(api.member, 'twice');
    const first = await api.member.post(`/transfers/${id}/executions`, {});
    expect(first.statusCode).toBe(200);
    const second = await start(id);
    expect(second.json().error).toEqual({
      fault: 'badRequest',
      code: 400,
      message: `Another tasks execution is in progress: ['${first.json().execution.id}']`,
    });
    const busy = [
      await api.member.delete(`/transfers/${id}`),
      await api.member.put(`/transfers/${id}`, { transfer: { notes: 'x' } }),
    ];
    expect(busy.map((answer) => answer.statusCode)).toEqual([400, 400]);
  });

  test('is canceled once, again only by force, and can be deleted when it has ended', async () => {
    const id = await api.transfer(api.member, 'cancel');
    const xid = (await start(id)).json().execution.id;
    const path = `/transfers/${id}/executions/${xid}`;
    const running = await api.member.delete(path);
    expect(running.json().error.message).toBe(
      `Cannot delete execution '${xid}' for Transfer '${id}' as it is currently in 'RUNNING' state.`,
    );
    const canceled = await api.member.post(`${path}/actions`, { cancel: null });
    expect([canceled.statusCode, canceled.body]).toEqual([204, '']);
    const again = await api.member.post(`${path}/actions`, { cancel: { force: false } });
    expect(again.json().error.message).toContain('is already being cancelled. Please use the force option');
    expect((await api.member.post(`${path}/actions`, { cancel: { force: true } })).statusCode).toBe(204);
    expect((await api.member.get(path)).json().execution.status).toBe('CANCELED');
    const late = await api.member.post(`${path}/actions`, { cancel: null });
    expect(late.json().error.message).toBe(`Transfer '${id}' has no running execution to cancel.`);
    expect((await api.member.delete(path)).statusCode).toBe(204);
    expect((await api.member.get(path)).json().error.message).toBe(
      `NotFound: Execution with ID '${xid}' for Transfer '${id}' not found.`,
    );
    expect((await start(id)).json().execution.number).toBe(2);
  });

  test('of an unknown or foreign transfer: an empty list, and 404 for anything else', async () => {
    const foreign = await api.transfer(api.admin, 'hidden');
    const xid = (await api.admin.post(`/transfers/${foreign}/executions`, {})).json().execution.id;
    for (const id of [randomUUID(), foreign]) {
      expect((await api.member.get(`/transfers/${id}/executions`)).json()).toEqual({ executions: [] });
      expect((await start(id)).statusCode).toBe(404);
      expect((await api.member.get(`/transfers/${id}/executions/${xid}`)).statusCode).toBe(404);
      expect((await api.member.post(`/transfers/${id}/executions/${xid}/actions`, { cancel: null })).statusCode).toBe(
        404,
      );
    }
    const mine = await api.transfer(api.member, 'mixed');
    expect((await api.member.get(`/transfers/${mine}/executions/${xid}`)).statusCode).toBe(404);
  });

  test('is acted upon by the one key of the body', async () => {
    const id = await api.transfer(api.member, 'actions');
    const xid = (await start(id)).json().execution.id;
    const act = async (payload?: object) => {
      const answer = await api.member.post(`/transfers/${id}/executions/${xid}/actions`, payload);
      return [answer.statusCode, answer.json().error.message];
    };
    expect(await act()).toEqual([400, 'There is no such action: None']);
    expect(await act({})).toEqual([400, 'Malformed request body']);
    expect(await act({ cancel: null, stop: null })).toEqual([400, 'Malformed request body']);
    expect(await act({ stop: null })).toEqual([400, 'There is no such action: stop']);
    expect((await act({ cancel: 'x' }))[0]).toBe(400);
    expect((await act({ cancel: { force: 'yes' } }))[0]).toBe(400);
  });
});

describe('a deployment', () => {
  const deploy = (transfer_id: string | undefined, more: object = {}) =>
    api.member.post('/deployments', { deployment: { transfer_id, ...more } });

  test('needs a completed execution', async () => {
    const id = await api.transfer(api.member, 'raw');
    const answer = await deploy(id);
    expect([answer.statusCode, answer.json().error.message]).toEqual([
      400,
      'A transfer must have been executed successfully at least once in order to be deployed',
    ]);
    const none = await deploy(undefined);
    expect(none.json().error.message).toContain("Missing 'transfer_id' field from deployment body.");
    const unknown = randomUUID();
    expect((await deploy(unknown)).json().error.message).toBe(`NotFound: Transfer with ID '${unknown}' not found.`);
  });

  test('that waits has no tasks; its cancel ends it at once', async () => {
    const id = await api.transfer(api.member, 'auto');
    const run = (await api.member.post(`/transfers/${id}/executions`, { execution: { auto_deploy: true } })).json();
    const { deployments } = (await api.member.get('/deployments')).json();
    const waiting = deployments.find((d: { transfer_id: string }) => d.transfer_id === id);
    expect(Object.keys(waiting).sort()).toEqual(keysOf('deployment', ['executions']));
    expect(waiting).toMatchObject({
      type: 'deployment',
      transfer_scenario_type: 'replica',
      deployer_id: run.execution.id,
      last_execution_status: 'PENDING',
      executions: [],
      test: false,
    });
    expect((await api.member.get(`/deployments/${waiting.id}`)).json()).toEqual({ deployment: waiting });
    expect((await api.member.post(`/deployments/${waiting.id}/actions`, { cancel: null })).statusCode).toBe(204);
    const after = (await api.member.get(`/deployments/${waiting.id}`)).json().deployment;
    expect(after.last_execution_status).toBe('CANCELED');
    const again = await api.member.post(`/deployments/${waiting.id}/actions`, { cancel: null });
    expect(again.json().error.message).toBe(`Deployment '${waiting.id}' is not currently running`);
    expect((await api.admin.get(`/deployments/${waiting.id}`)).statusCode).toBe(200);
    expect((await api.member.delete(`/deployments/${waiting.id}`)).statusCode).toBe(204);
    const gone = await api.member.delete(`/deployments/${waiting.id}`);
    expect(gone.json().error.message).toBe(`Deployment with ID '${waiting.id}' not found.`);
    await setExecutionStatus(api.db, run.execution.id, 'CANCELED');
  });
});
