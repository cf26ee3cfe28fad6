import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  appendEvent,
  EVENT_CHANNEL,
  type EventCursor,
  FIRST_EVENT,
  hasEventsAfter,
  isMigrated,
  lastEvent,
  listen,
  migrate,
  purgeEvents,
  readEvents,
} from '../src/index.ts';
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

/** A database as a restore leaves it: its events come from a cluster that had seen more transactions than this one. */
async function asRestored(): Promise<AsyncDisposable & { connection: TestDatabase }> {
  const connection = await createTestDatabase();
  for (const [index, type] of ['old 1', 'old 2'].entries()) {
    const place = (5_000_000_000 + index).toString();
    await sql`insert into event (xid, project_id, type, object_type, object_id)
      values (${place}::xid8, 'p1', ${type}, 'task', 't1')`.execute(connection.db);
  }
  await sql`update event_origin set cluster = '7000000000000000000/1'`.execute(connection.db);
  return { connection, [Symbol.asyncDispose]: () => connection.drop() };
}

async function lastOf(connection: TestDatabase): Promise<EventCursor> {
  const { rows } = await sql<EventCursor>`select xid, id from event order by xid desc, id desc limit 1`.execute(
    connection.db,
  );
  return rows[0]!;
}

/** Types of the events that a reader who has seen `after` gets; other databases' transactions may hold them back a moment. */
async function typesAfter(connection: TestDatabase, after: EventCursor, count: number): Promise<string[]> {
  for (;;) {
    const events = await readEvents(connection.db, 'p1', after);
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
    expect(await typesAfter(database, FIRST_EVENT, 2)).toEqual(['begun first', 'committed first']);
  });

  it('reach only their project, or all when they belong to none', async () => {
    const start = await lastEvent(database.db);
    await appendEvent(database.db, event('mine'));
    await appendEvent(database.db, event('theirs', 'p2'));
    await appendEvent(database.db, event('for all', null));
    expect(await typesAfter(database, start, 2)).toEqual(['mine', 'for all']);
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

  it('are neither held back nor passed over after a restore into a younger cluster, for old readers and new ones', async () => {
    await using restored = await asRestored();
    const { connection } = restored;
    const before = await lastOf(connection);
    expect(await isMigrated(connection)).toBe(false);
    await migrate(connection);
    expect(await isMigrated(connection)).toBe(true);
    expect(await typesAfter(connection, FIRST_EVENT, 2)).toEqual(['old 1', 'old 2']);
    await appendEvent(connection.db, event('new'));
    expect(await typesAfter(connection, before, 1)).toEqual(['new']);
    expect(await typesAfter(connection, FIRST_EVENT, 3)).toEqual(['old 1', 'old 2', 'new']);
    expect(await hasEventsAfter(connection.db, before)).toBe(true);
    const place = await lastEvent(connection.db);
    // The next start finds nothing to do: places stay what they are.
    await migrate(connection);
    await appendEvent(connection.db, event('newer'));
    expect(await typesAfter(connection, place, 1)).toEqual(['newer']);
  });

  it('are told again rather than never to a reader whose place this database has not reached', async () => {
    await using restored = await asRestored();
    const { connection } = restored;
    await migrate(connection);
    await appendEvent(connection.db, event('since'));
    const { xid } = (await readEvents(connection.db, 'p1', FIRST_EVENT)).at(-1)!;
    const ahead = { xid: (BigInt(xid) + 1_000_000n).toString(), id: 7 };
    expect(await typesAfter(connection, ahead, 1)).toEqual(['since']);
    expect(await hasEventsAfter(connection.db, ahead)).toBe(true);
  });

  it('are forgotten when they are old', async () => {
    expect(await purgeEvents(database.db, new Date(0))).toBe(0);
    expect(await purgeEvents(database.db, new Date(Date.now() + 60_000))).toBeGreaterThan(0);
    expect(await readEvents(database.db, undefined, FIRST_EVENT)).toEqual([]);
  });
});
