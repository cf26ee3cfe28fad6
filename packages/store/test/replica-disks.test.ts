import type { JsonObject } from '@godwit/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { putReplicaDisk } from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';
import { makeTransfer } from './rows.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

describe('that a target disk reads as zeroes', () => {
  const target = (size: number, path = 'a.raw'): JsonObject => ({ id: 'vda', size, handle: { path } });

  /** Makes an empty disk of 1,024 bytes, then notes it a second time; what is known of it then. */
  async function again(size: number, second: JsonObject, zeroed: boolean): Promise<boolean> {
    const { id: transferId } = await makeTransfer(database.db);
    const disk = { transferId, instance: 'web01', diskId: 'vda' };
    const made = await putReplicaDisk(database.db, { ...disk, size: 1_024, target: target(1_024), zeroed: true });
    expect(made.zeroed).toBe(true);
    const noted = await putReplicaDisk(database.db, { ...disk, size, target: second, zeroed });
    expect(noted).toMatchObject({ id: made.id, size, target: second });
    return noted.zeroed;
  }

  it('still holds when the same disk is found again before anything was copied', async () => {
    expect(await again(1_024, target(1_024), false)).toBe(true);
  });

  it('holds no more when it was grown before its first checkpoint: nobody knows what the platform put there', async () => {
    expect(await again(2_048, target(2_048), false)).toBe(false);
    expect(await again(1_024, target(2_048), false)).toBe(false);
  });

  it('holds no more when another disk stands in its place, unless its provider says so', async () => {
    expect(await again(1_024, target(1_024, 'b.raw'), false)).toBe(false);
    expect(await again(1_024, target(1_024, 'b.raw'), true)).toBe(true);
  });
});
