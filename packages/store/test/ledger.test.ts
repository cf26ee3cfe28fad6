import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  findLedger,
  insertExecution,
  intendLedger,
  type LedgerRow,
  markMade,
  markReaped,
  markRemovalFailed,
  markRemoving,
  reapableLedger,
  setExecutionStatus,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeEndpoint, makeTransfer } from './rows.ts';

let database: TestDatabase;
let endpointId: string;
const SETTLE_MS = 30_000;

beforeAll(async () => {
  database = await createTestDatabase();
  endpointId = await makeEndpoint(database.db);
});
afterAll(async () => {
  await database.drop();
});

async function endedExecution(): Promise<{ executionId: string; transferId: string }> {
  const { id } = await makeTransfer(database.db, {
    origin_endpoint_id: endpointId,
    destination_endpoint_id: endpointId,
  });
  const run = await insertExecution(database.db, {
    actionId: id,
    actionType: 'transfer',
    type: 'transfer_execution',
  });
  await setExecutionStatus(database.db, run.id, 'ERROR');
  return { executionId: run.id, transferId: id };
}

function intend(name: string, executionId: string): Promise<LedgerRow> {
  return intendLedger(
    database.db,
    { projectId: 'p1', endpointId, executionId },
    { kind: 'snapshot', name, handle: { name } },
  );
}

const row = (id: string) => database.db.selectFrom('ledger').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const isReapable = async (id: string) => (await reapableLedger(database.db)).some((one) => one.id === id);
const grow = (id: string, ms: number) =>
  sql`update ledger set created_at = now() - ${ms}::float8 * interval '1 ms' where id = ${id}`.execute(database.db);
/** As if the last try had been an hour ago. */
const waited = (id: string) =>
  database.db
    .updateTable('ledger')
    .set({ updated_at: sql<Date>`now() - interval '1 hour'` })
    .where('id', '=', id)
    .execute();

describe('an entry that is reaped', () => {
  it('announces the same thing as often as it is tried, with a plan made once for all', async () => {
    const { executionId } = await endedExecution();
    const first = await intend('tried again', executionId);
    for (let n = 0; n < 12; n++) expect((await intend('tried again', executionId)).id).toBe(first.id);
  });

  it('is looked for again while what was asked of the platform may yet appear', async () => {
    const { executionId } = await endedExecution();
    const entry = await intend('late', executionId);
    expect(await markRemoving(database.db, entry)).toBe(true);
    expect(await markReaped(database.db, entry, SETTLE_MS)).toBe(false);
    expect(await row(entry.id)).toMatchObject({ state: 'intended', deleted_at: null });
    await waited(entry.id);
    expect(await isReapable(entry.id)).toBe(true);
    await grow(entry.id, SETTLE_MS + 1);
    expect(await markRemoving(database.db, entry)).toBe(true);
    expect(await markReaped(database.db, entry, SETTLE_MS)).toBe(true);
    expect(await row(entry.id)).toMatchObject({ state: 'removed' });
  });

  it('is gone at once when its making was confirmed', async () => {
    const { executionId } = await endedExecution();
    const entry = await intend('made', executionId);
    await markMade(database.db, entry.id);
    await markRemoving(database.db, entry);
    expect(await markReaped(database.db, { ...entry, state: 'made' }, SETTLE_MS)).toBe(true);
  });

  it('lives again when its making is confirmed after all, and is reaped again', async () => {
    const { executionId } = await endedExecution();
    const entry = await intend('zombie', executionId);
    await grow(entry.id, SETTLE_MS + 1);
    await markRemoving(database.db, entry);
    expect(await markReaped(database.db, entry, SETTLE_MS)).toBe(true);
    await markMade(database.db, entry.id, { found: true });
    expect(await row(entry.id)).toMatchObject({ state: 'made', deleted_at: null, handle: { found: true } });
    await waited(entry.id);
    expect(await isReapable(entry.id)).toBe(true);
  });

  it('stays gone when a newer one has its name', async () => {
    const { executionId } = await endedExecution();
    const entry = await intend('twice', executionId);
    await grow(entry.id, SETTLE_MS + 1);
    await markRemoving(database.db, entry);
    await markReaped(database.db, entry, SETTLE_MS);
    const newer = await intend('twice', executionId);
    await markMade(database.db, entry.id);
    expect(await row(entry.id)).toMatchObject({ state: 'removed' });
    expect(await findLedger(database.db, endpointId, 'snapshot', 'twice')).toMatchObject({ id: newer.id });
  });
});

describe('an entry that another execution announces too', () => {
  it('is kept for the newer one from then on', async () => {
    const { executionId } = await endedExecution();
    const entry = await intend('shared', executionId);
    expect(await isReapable(entry.id)).toBe(true);
    const { id: transferId } = await makeTransfer(database.db, {
      origin_endpoint_id: endpointId,
      destination_endpoint_id: endpointId,
    });
    const running = await insertExecution(database.db, {
      actionId: transferId,
      actionType: 'transfer',
      type: 'transfer_execution',
    });
    const deploymentId = randomUUID();
    await intendLedger(
      database.db,
      { projectId: 'p2', endpointId, transferId, deploymentId, executionId: running.id },
      { kind: 'snapshot', name: 'shared', handle: {} },
    );
    expect(await row(entry.id)).toMatchObject({
      project_id: 'p2',
      transfer_id: transferId,
      deployment_id: deploymentId,
      execution_id: running.id,
    });
    expect(await isReapable(entry.id)).toBe(false);
    // The reaper read its list before.
    expect(await markRemoving(database.db, entry)).toBe(false);
  });

  it('is not taken for gone when its removal was under way', async () => {
    const { executionId } = await endedExecution();
    const entry = await intend('crossed', executionId);
    await grow(entry.id, SETTLE_MS + 1);
    await markRemoving(database.db, entry);
    const other = await endedExecution();
    await intend('crossed', other.executionId);
    expect(await markReaped(database.db, entry, SETTLE_MS)).toBe(false);
    expect(await row(entry.id)).toMatchObject({ state: 'intended', execution_id: other.executionId });
  });
});

it('entries that cannot be removed do not hide the others', async () => {
  const { executionId } = await endedExecution();
  const hidden = await intend('hidden', executionId);
  for (let i = 0; i < 120; i += 1) {
    const stuck = await intend(`stuck ${i}`, executionId);
    await markRemoving(database.db, stuck);
    await markRemovalFailed(database.db, stuck.id, 'the host is down');
  }
  await database.db.updateTable('ledger').set({ attempts: 9 }).where('name', 'like', 'stuck%').execute();
  expect(await isReapable(hidden.id)).toBe(true);
});
