import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Db,
  deleteTransfer,
  executionsOfActions,
  infoOfActions,
  insertExecution,
  latestDeployments,
  latestExecutions,
  listExecutions,
  listTransfers,
  machinesOfPools,
  mappedRegions,
  type Page,
  type SortKey,
  type Transfer,
  tasksOfExecutions,
  toldTasks,
  transfersVersion,
  updateTransfer,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeEndpoint, makeTransfer } from './rows.ts';

let database: TestDatabase;
const transfers: Transfer[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const endpoint = await makeEndpoint(database.db);
  for (let i = 0; i < 30; i++) {
    // Few different values, so that most of the order is decided by the closing keys.
    const made = await makeTransfer(database.db, {
      origin_endpoint_id: endpoint,
      notes: i % 5 === 0 ? null : `note ${i % 3}`,
      clone_disks: i % 2 === 0,
      created_at: new Date(Date.UTC(2026, 0, 1, 0, 0, Math.floor(i / 4))),
      last_execution_status: i % 3 === 0 ? 'ERROR' : 'COMPLETED',
    });
    transfers.push(made);
  }
  for (const [i, transfer] of transfers.entries()) {
    if (i % 4 !== 1) continue;
    await updateTransfer(database.db, transfer.id, { skip_os_morphing: true });
    // To the millisecond, as precise as the order below is computed.
    transfer.updated_at = new Date(Date.UTC(2026, 1, 1, 0, 0, i % 8));
    await database.db
      .updateTable('transfer')
      .set({ updated_at: transfer.updated_at })
      .where('id', '=', transfer.id)
      .execute();
  }
  await makeTransfer(database.db, { project_id: 'p2', origin_endpoint_id: endpoint });
});
afterAll(() => database.drop());

const value = (transfer: Transfer, key: string): string | number => {
  const given = transfer[key as keyof Transfer];
  if (given instanceof Date) return given.getTime();
  if (given === null) return key === 'updated_at' ? Number.NEGATIVE_INFINITY : '';
  return typeof given === 'boolean' ? Number(given) : String(given);
};

/** The order that the contract asks for, computed the slow way. */
function sorted(list: Transfer[], sort: SortKey[]): string[] {
  const closing = sort[0]?.direction ?? 'desc';
  const keys = [...sort];
  for (const key of ['created_at', 'id']) if (!keys.some((k) => k.key === key)) keys.push({ key, direction: closing });
  return [...list]
    .sort((a, b) => {
      for (const { key, direction } of keys) {
        const [x, y] = [value(a, key), value(b, key)];
        if (x !== y) return (x < y ? -1 : 1) * (direction === 'asc' ? 1 : -1);
      }
      return 0;
    })
    .map((transfer) => transfer.id);
}

async function allPages(page: Page & { limit: number }): Promise<string[]> {
  const seen: string[] = [];
  for (;;) {
    const marker = seen.at(-1);
    const rows = await listTransfers(database.db, 'p1', { ...page, ...(marker !== undefined && { marker }) });
    seen.push(...rows.map((row) => row.id));
    if (rows.length < page.limit) return seen;
  }
}

describe('a list', () => {
  it('gives every item once, in the asked order, whatever the keys, directions and page size', async () => {
    const key = fc.constantFrom('created_at', 'updated_at', 'notes', 'clone_disks', 'last_execution_status', 'id');
    const sort = fc.uniqueArray(fc.record({ key, direction: fc.constantFrom('asc' as const, 'desc' as const) }), {
      maxLength: 3,
      selector: (s) => s.key,
    });
    await fc.assert(
      fc.asyncProperty(sort, fc.integer({ min: 1, max: 40 }), async (keys, limit) => {
        expect(await allPages({ sort: keys, limit })).toEqual(sorted(transfers, keys));
      }),
      { numRuns: 40 },
    );
  });

  it('ignores a marker that names nothing, and answers nothing after the last item', async () => {
    const first = await listTransfers(database.db, 'p1', { limit: 3 });
    expect(await listTransfers(database.db, 'p1', { limit: 3, marker: 'nope' })).toEqual(first);
    const last = sorted(transfers, []).at(-1)!;
    expect(await listTransfers(database.db, 'p1', { marker: last })).toEqual([]);
  });

  it('ignores the marker of another project: where it lies would tell what it holds', async () => {
    const [stranger] = await listTransfers(database.db, 'p2');
    await updateTransfer(database.db, stranger!.id, { notes: 'note 1' });
    const page = { sort: [{ key: 'notes', direction: 'asc' as const }], limit: 3 };
    const first = await listTransfers(database.db, 'p1', page);
    expect(await listTransfers(database.db, 'p1', { ...page, marker: stranger!.id })).toEqual(first);
    expect(await listTransfers(database.db, undefined, { ...page, marker: stranger!.id })).not.toEqual(first);
    const version = await transfersVersion(database.db, 'p1', { ...page, marker: 'nope' });
    expect(await transfersVersion(database.db, 'p1', { ...page, marker: stranger!.id })).toEqual(version);
  });

  it('holds to the project, the status and the limit', async () => {
    expect(await listTransfers(database.db, 'p2')).toHaveLength(1);
    expect(await listTransfers(database.db, undefined)).toHaveLength(31);
    expect(await listTransfers(database.db, 'p1', { status: 'ERROR' })).toHaveLength(10);
    expect(await listTransfers(database.db, 'p1', { limit: 0 })).toEqual([]);
  });

  it('refuses a sort key that is not a column', async () => {
    const sort = [{ key: 'id; drop table transfer', direction: 'asc' as const }];
    await expect(listTransfers(database.db, 'p1', { sort })).rejects.toMatchObject({ code: 'INVALID_INPUT' });
  });

  it('shows deleted items only when asked', async () => {
    const gone = await makeTransfer(database.db, { project_id: 'p3' });
    expect(await deleteTransfer(database.db, gone.id)).toBe(true);
    expect(await deleteTransfer(database.db, gone.id)).toBe(false);
    expect(await listTransfers(database.db, 'p3')).toEqual([]);
    expect(await listTransfers(database.db, 'p3', { showDeleted: true })).toMatchObject([{ id: gone.id }]);
  });

  it('of executions ignores the marker of another transfer', async () => {
    const [{ id: mine }, { id: other }] = [await makeTransfer(database.db), await makeTransfer(database.db)];
    const begin = (actionId: string) =>
      insertExecution(database.db, {
        actionId,
        actionType: 'transfer',
        type: 'transfer_execution',
        status: 'COMPLETED',
      });
    await begin(mine);
    const { id: stranger } = await begin(other);
    const own = await begin(mine);
    expect(await listExecutions(database.db, mine, { marker: stranger })).toHaveLength(2);
    expect(await listExecutions(database.db, mine, { marker: own.id })).toHaveLength(1);
  });
});

/** Scans of the whole table and rows fetched by an index, as this session counts them. */
async function readSoFar(db: Db): Promise<{ scanned: number; fetched: number }> {
  const { rows } = await sql<{ scanned: number; fetched: number }>`
    select seq_scan as scanned, idx_tup_fetch as fetched from pg_stat_xact_user_tables
    where relname = 'transfer'`.execute(db);
  return rows[0]!;
}

describe('a page', () => {
  it('is read from an index, not from the whole table, in each of the usual orders', async () => {
    await using many = await createTestDatabase();
    await makeTransfer(many.db);
    await many.pool.query(`
      insert into transfer (id, project_id, user_id, scenario, instances, origin_endpoint_id, destination_endpoint_id,
        created_at, updated_at, last_execution_status)
      select 't' || i, 'p' || i % 2, user_id, scenario, instances, origin_endpoint_id, destination_endpoint_id,
        created_at - i * interval '1 minute', case when i % 3 > 0 then created_at - i * 7919 % 5000 * interval '1 s' end,
        case when i % 10 = 0 then 'ERROR' else 'COMPLETED' end
      from transfer, generate_series(1, 5000) i`);
    await many.pool.query('vacuum analyze transfer');
    const byTouch = [{ key: 'updated_at', direction: 'desc' as const }];
    for (const scope of ['p1', undefined]) {
      for (const page of [{}, { marker: 't2501' }, { sort: byTouch }, { sort: byTouch, marker: 't2501' }]) {
        const read = await many.db.transaction().execute(async (trx) => {
          const before = await readSoFar(trx);
          expect(await listTransfers(trx, scope, { ...page, limit: 25 })).toHaveLength(25);
          const after = await readSoFar(trx);
          return { scanned: after.scanned - before.scanned, fetched: after.fetched - before.fetched };
        });
        expect(read.scanned).toBe(0);
        // The page, what another project has in between, and the marker's row once per column of the order.
        expect(read.fetched).toBeLessThanOrEqual(60);
      }
    }
  });
});

it('what belongs to more rows than a statement may have parameters is read all the same', async () => {
  const { db } = database;
  const { id } = await makeTransfer(db);
  const execution = await insertExecution(db, { actionId: id, actionType: 'transfer', type: 'transfer_execution' });
  const ids = [...Array.from({ length: 66_000 }, (_, i) => `nobody ${i}`), id];
  expect((await latestExecutions(db, ids)).get(id)?.id).toBe(execution.id);
  expect((await executionsOfActions(db, ids)).get(id)).toHaveLength(1);
  for (const read of [tasksOfExecutions, toldTasks, latestDeployments, machinesOfPools]) {
    expect((await read(db, ids)).size).toBe(0);
  }
  expect(await infoOfActions(db, ids)).toEqual([]);
  expect((await mappedRegions(db, 'endpoint', ids)).size).toBe(0);
});
