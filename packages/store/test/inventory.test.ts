import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  deleteRegion,
  deleteService,
  ensureRegion,
  findLedger,
  getInfo,
  getRegion,
  getService,
  heartbeatService,
  insertExecution,
  insertService,
  intendLedger,
  listInfo,
  listLedger,
  listReceipts,
  listRegions,
  listResources,
  listServices,
  mapRegions,
  markMade,
  markMigrated,
  markRemovalFailed,
  markRemoved,
  markRemoving,
  mergeInfo,
  putReceipt,
  reapableLedger,
  registerWorker,
  setExecutionStatus,
  signOffService,
  syncResources,
  updateRegion,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeEndpoint, makeTransfer } from './rows.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

describe('the ledger', () => {
  it('knows one living thing per endpoint, kind and name, however often it is announced', async () => {
    const endpointId = await makeEndpoint(database.db);
    const owner = { projectId: 'p1', endpointId };
    const entry = { kind: 'disk', name: 'd1', handle: { path: '/draft' } };
    const first = await intendLedger(database.db, owner, entry);
    expect(first).toMatchObject({ state: 'intended', keep: 'execution' });
    await markMade(database.db, first.id, { path: '/d1', inode: 7 });
    const again = await intendLedger(database.db, owner, entry);
    expect(again).toMatchObject({ id: first.id, state: 'made', handle: { path: '/d1', inode: 7 } });
    await markRemoving(database.db, first);
    await markRemovalFailed(database.db, first.id, 'host is down');
    expect(await findLedger(database.db, endpointId, 'disk', 'd1')).toMatchObject({
      state: 'removing',
      attempts: 1,
      last_error: 'host is down',
    });
    await markRemoved(database.db, first.id);
    expect(await findLedger(database.db, endpointId, 'disk', 'd1')).toBeUndefined();
    const anew = await intendLedger(database.db, owner, entry);
    expect(anew.id).not.toBe(first.id);
    expect(await listLedger(database.db, 'p1', { endpointId })).toMatchObject([{ id: anew.id }]);
    expect(await listLedger(database.db, 'p1', { endpointId, showRemoved: true })).toHaveLength(2);
  });

  it('gives the reaper what nobody needs any more, newest first, and nothing else', async () => {
    const endpointId = await makeEndpoint(database.db);
    const { id: transferId } = await makeTransfer(database.db, {
      origin_endpoint_id: endpointId,
      destination_endpoint_id: endpointId,
    });
    const start = () =>
      insertExecution(database.db, { actionId: transferId, actionType: 'transfer', type: 'transfer_execution' });
    const ended = await start();
    const make = (name: string, executionId: string | null, keep: 'execution' | 'transfer' | 'forever') =>
      intendLedger(
        database.db,
        { projectId: 'p1', endpointId, transferId, executionId },
        { kind: 'disk', name, handle: {}, keep },
      );
    await make('left over', ended.id, 'execution');
    await make('newer left over', ended.id, 'execution');
    await make('handed over', ended.id, 'forever');
    await make('replica', ended.id, 'transfer');
    const reapable = async () =>
      (await reapableLedger(database.db)).filter((row) => row.endpoint_id === endpointId).map((row) => row.name);
    expect(await reapable()).toEqual([]);
    await setExecutionStatus(database.db, ended.id, 'ERROR');
    expect(await reapable()).toEqual(['newer left over', 'left over']);
    const running = await start();
    await make('in use', running.id, 'execution');
    expect(await reapable()).toEqual(['newer left over', 'left over']);
    await database.db.updateTable('transfer').set({ deleted_at: new Date() }).where('id', '=', transferId).execute();
    expect(await reapable()).toEqual(['replica', 'newer left over', 'left over']);
  });
});

describe('the blackboard', () => {
  it('merges keys, removes those set to null and keeps instances apart', async () => {
    const action = randomUUID();
    expect(await getInfo(database.db, action, 'web01')).toEqual({});
    await mergeInfo(database.db, action, 'web01', { a: 1, b: { c: [1, 2] }, gone: null });
    await mergeInfo(database.db, action, 'web01', { a: null, d: 'new' });
    await mergeInfo(database.db, action, 'web02', { a: 9 });
    expect(await listInfo(database.db, action)).toEqual({ web01: { b: { c: [1, 2] }, d: 'new' }, web02: { a: 9 } });
  });
});

describe('services and regions', () => {
  it('tell a worker that beats from one that is silent, signed off or never spoke', async () => {
    const worker = {
      host: 'h1',
      binary: 'godwit-worker',
      topic: 't',
      providers: { image: { types: [16] } },
      specs: {},
    };
    const first = await registerWorker(database.db, { ...worker, executorId: 'x1' });
    const second = await registerWorker(database.db, { ...worker, executorId: 'x2' });
    expect(second.id).toBe(first.id);
    expect(await getService(database.db, first.id)).toMatchObject({ status: 'UP', executor_id: 'x2' });
    await database.db
      .updateTable('service')
      .set({ heartbeat_at: new Date(Date.now() - 31_000) })
      .where('id', '=', first.id)
      .execute();
    expect(await getService(database.db, first.id)).toMatchObject({ status: 'DOWN' });
    expect(await heartbeatService(database.db, first.id)).toBe(true);
    expect(await getService(database.db, first.id)).toMatchObject({ status: 'UP' });
    expect(await deleteService(database.db, first.id)).toBe('up');
    await signOffService(database.db, first.id);
    expect(await getService(database.db, first.id)).toMatchObject({ status: 'DOWN' });
    const manual = await insertService(database.db, { host: 'h2', binary: 'b', topic: 't' });
    expect(await listServices(database.db)).toMatchObject([{ status: 'DOWN' }, { id: manual.id, status: 'UNKNOWN' }]);
    expect(await deleteService(database.db, first.id)).toBe('deleted');
    expect(await deleteService(database.db, first.id)).toBe('absent');
    expect(await heartbeatService(database.db, first.id)).toBe(false);
  });

  it('are mapped to each other, and a region that goes takes its mappings along', async () => {
    const [north, south] = [await ensureRegion(database.db, 'north'), await ensureRegion(database.db, 'south')];
    expect((await ensureRegion(database.db, 'north')).id).toBe(north.id);
    const endpointId = await makeEndpoint(database.db);
    await mapRegions(database.db, 'endpoint', endpointId, [north.id, south.id, north.id]);
    await expect(mapRegions(database.db, 'endpoint', endpointId, ['nope'])).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    expect(await getRegion(database.db, north.id)).toMatchObject({
      mapped_endpoints: [endpointId],
      mapped_services: [],
    });
    await updateRegion(database.db, south.id, { enabled: false });
    expect(await listRegions(database.db)).toMatchObject([{ enabled: true }, { enabled: false }]);
    expect(await deleteRegion(database.db, north.id)).toBe(true);
    expect(await deleteRegion(database.db, north.id)).toBe(false);
    expect(await listRegions(database.db)).toMatchObject([{ name: 'south', mapped_endpoints: [endpointId] }]);
  });
});

describe('resources', () => {
  it('follow what discovery sees and keep their Migrated flag', async () => {
    const endpointId = await makeEndpoint(database.db);
    const owner = { projectId: 'p1', endpointId };
    const seen = (externalId: string, name = externalId) => ({ externalId, name, data: { cpus: 2 } });
    await syncResources(database.db, owner, 'instance', [seen('a'), seen('b')]);
    await markMigrated(database.db, owner, 'instance', seen('a'));
    await markMigrated(database.db, owner, 'instance', seen('unseen'));
    await syncResources(database.db, owner, 'instance', [seen('a', 'Web A'), seen('c')]);
    const sort = [{ key: 'external_id', direction: 'asc' as const }];
    expect(await listResources(database.db, 'p1', { endpointId, sort })).toMatchObject([
      { external_id: 'a', name: 'Web A', migrated: true },
      { external_id: 'c', migrated: false },
    ]);
    expect(await listResources(database.db, 'p1', { endpointId, name: 'web' })).toMatchObject([{ external_id: 'a' }]);
    await syncResources(database.db, owner, 'instance', [seen('b')]);
    expect(await listResources(database.db, 'p1', { endpointId })).toMatchObject([{ external_id: 'b' }]);
    await syncResources(database.db, owner, 'instance', []);
    expect(await listResources(database.db, 'p1', { endpointId })).toEqual([]);
  });
});

describe('receipts', () => {
  it('are one per disk and execution', async () => {
    const receipt = {
      executionId: 'x1',
      transferId: 't1',
      projectId: 'p1',
      instance: 'web01',
      diskId: 'vda',
      document: { version: 1, nested: { b: [1, 2], a: null } },
      sourceRoot: 'aa',
      targetRoot: 'bb',
      result: 'mismatch' as const,
    };
    const first = await putReceipt(database.db, receipt);
    await putReceipt(database.db, { ...receipt, targetRoot: 'aa', result: 'match' });
    await putReceipt(database.db, { ...receipt, diskId: 'vdb' });
    expect(await listReceipts(database.db, 'p1', { transferId: 't1', diskId: 'vda' })).toMatchObject([
      { id: first.id, result: 'match', document: receipt.document },
    ]);
    expect(await listReceipts(database.db, 'p2')).toEqual([]);
  });
});
