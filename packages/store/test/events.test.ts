import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { appendEvent, EVENT_CHANNEL, FIRST_EVENT, lastEvent, listen, purgeEvents, readEvents } from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

const event = (type: string, projectId: string | null = 'p1') => ({
  projectId,
  type,
  objectType: 'task',
  objectId: 't1',
});

/** Types of the events that a reader who has seen `after` gets; other databases' transactions may hold them back a moment. */
async function readUntil(after: { xid: string; id: number }, count: number): Promise<string[]> {
  for (;;) {
    const events = await readEvents(database.db, 'p1', after);
    if (events.length >= count) return events.map((row) => row.type);
    await sleep(10);
  }
}

describe('events', () => {
  it('are never passed over by a reader although one commits late', async () => {
    const late = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const slow = database.db.transaction().execute(async (trx) => {
      await appendEvent(trx, event('begun first'));
      begun.resolve();
      await late.promise;
    });
    await begun.promise;
    await appendEvent(database.db, event('committed first'));
    expect(await readEvents(database.db, 'p1', FIRST_EVENT)).toEqual([]);
    late.resolve();
    await slow;
    expect(await readUntil(FIRST_EVENT, 2)).toEqual(['begun first', 'committed first']);
  });

  it('reach only their project, or all when they belong to none', async () => {
    const start = await lastEvent(database.db);
    await appendEvent(database.db, event('mine'));
    await appendEvent(database.db, event('theirs', 'p2'));
    await appendEvent(database.db, event('for all', null));
    expect(await readUntil(start, 2)).toEqual(['mine', 'for all']);
  });

  it('are announced with their commit, and not when they are rolled back', async () => {
    const heard: number[] = [];
    const listener = listen(database.url, [EVENT_CHANNEL], { onNotify: (_, payload) => heard.push(Number(payload)) });
    await listener.listening;
    const rolledBack = database.db.transaction().execute(async (trx) => {
      await appendEvent(trx, event('never'));
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    const id = await appendEvent(database.db, event('said'));
    while (heard.length === 0) await sleep(5);
    expect(heard).toEqual([id]);
    await listener.close();
  });

  it('are forgotten when they are old', async () => {
    expect(await purgeEvents(database.db, new Date(0))).toBe(0);
    expect(await purgeEvents(database.db, new Date(Date.now() + 60_000))).toBeGreaterThan(0);
    expect(await readEvents(database.db, undefined, FIRST_EVENT)).toEqual([]);
  });
});
