import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Db,
  deleteEndpoint,
  deleteRegion,
  deleteTransfer,
  getRegion,
  insertMinionPool,
  insertRegion,
  insertSchedule,
  listResources,
  listSchedules,
  lockTransfer,
  mappedRegions,
  mapRegions,
  syncResources,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeEndpoint, makeTransfer } from './rows.ts';

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await createTestDatabase();
  db = database.db;
});
afterAll(() => database.drop());

/** What comes of writing that begins before a deletion is committed. It has to wait for it, or is done before it. */
async function duringDeletion(remove: (trx: Db) => Promise<unknown>, write: () => Promise<unknown>): Promise<unknown> {
  const writing = { over: false, outcome: Promise.resolve<unknown>(undefined) };
  await db.transaction().execute(async (trx) => {
    await remove(trx);
    writing.outcome = write()
      .catch((error: unknown) => error)
      .finally(() => {
        writing.over = true;
      });
    while (!writing.over && !(await somebodyWaits())) await sleep(10);
  });
  return writing.outcome;
}

/** Whether a session of this database waits for a lock. */
async function somebodyWaits(): Promise<boolean> {
  const { rows } = await sql`
    select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(db);
  return rows.length > 0;
}

test('an endpoint that is deleted meanwhile gets no transfer', async () => {
  const endpoint = await makeEndpoint(db);
  const outcome = await duringDeletion(
    (trx) => deleteEndpoint(trx, endpoint),
    () => makeTransfer(db, { origin_endpoint_id: endpoint }),
  );
  expect(outcome).toMatchObject({ code: 'NOT_FOUND', object: `Endpoint with ID '${endpoint}'` });
});

test('an endpoint that is deleted meanwhile gets no minion pool', async () => {
  const endpoint = await makeEndpoint(db);
  const pool = {
    project_id: 'p1',
    user_id: 'u1',
    endpoint_id: endpoint,
    name: 'helpers',
    notes: null,
    os_type: 'linux',
    platform: 'source',
    environment_options: {},
    minimum_minions: 1,
    maximum_minions: 1,
    minion_max_idle_time: 1,
    minion_retention_strategy: 'delete',
  } as const;
  const outcome = await duringDeletion(
    (trx) => deleteEndpoint(trx, endpoint),
    () => insertMinionPool(db, pool),
  );
  expect(outcome).toMatchObject({ code: 'NOT_FOUND', object: `Endpoint with ID '${endpoint}'` });
});

test('a transfer that is deleted meanwhile gets no schedule', async () => {
  const { id } = await makeTransfer(db);
  const outcome = await duringDeletion(
    async (trx) => {
      await lockTransfer(trx, id);
      await deleteTransfer(trx, id);
    },
    () =>
      insertSchedule(db, {
        transferId: id,
        projectId: 'p1',
        userId: 'u1',
        schedule: { minute: 1 },
        enabled: true,
        expirationDate: null,
        shutdownInstance: false,
        autoDeploy: false,
      }),
  );
  expect(outcome).toMatchObject({ code: 'NOT_FOUND', object: `Transfer with ID '${id}'` });
  expect(await listSchedules(db, id)).toEqual([]);
});

test('a region that is deleted meanwhile is not mapped', async () => {
  const endpoint = await makeEndpoint(db);
  const { id } = await insertRegion(db, { name: 'short-lived' });
  const outcome = await duringDeletion(
    (trx) => deleteRegion(trx, id),
    () => mapRegions(db, 'endpoint', endpoint, [id]),
  );
  expect(outcome).toMatchObject({ code: 'NOT_FOUND', object: `Region with ID '${id}'` });
  expect(await mappedRegions(db, 'endpoint', [endpoint])).toEqual(new Map());
});

test('more regions than a statement has room for are looked up all the same', async () => {
  const endpoint = await makeEndpoint(db);
  const { id } = await insertRegion(db, { name: 'known' });
  const strangers = Array.from({ length: 70_000 }, (_, i) => `stranger ${i}`);
  await expect(mapRegions(db, 'endpoint', endpoint, [id, ...strangers])).rejects.toMatchObject({
    code: 'NOT_FOUND',
    object: "Region with ID 'stranger 0'",
  });
  await mapRegions(
    db,
    'endpoint',
    endpoint,
    Array.from({ length: 70_000 }, () => id),
  );
  expect((await getRegion(db, id))?.mapped_endpoints).toEqual([endpoint]);
});

test('an endpoint takes its inventory with it, and what is seen too late is not entered', async () => {
  const endpoint = await makeEndpoint(db, 'p9');
  const seen = [{ externalId: 'vm-1', name: 'web01', data: {} }];
  await syncResources(db, { projectId: 'p9', endpointId: endpoint }, 'instance', seen);
  expect(await listResources(db, 'p9')).toHaveLength(1);
  await deleteEndpoint(db, endpoint);
  expect(await listResources(db, 'p9')).toEqual([]);
  await syncResources(db, { projectId: 'p9', endpointId: endpoint }, 'instance', seen);
  expect(await listResources(db, 'p9')).toEqual([]);
});
