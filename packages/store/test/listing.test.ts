import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deleteTransfer, listTransfers, type Page, type SortKey, type Transfer, updateTransfer } from '../src/index.ts';
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
});
