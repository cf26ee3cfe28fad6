import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  connect,
  databaseError,
  getSetting,
  inTransaction,
  isUnavailable,
  listen,
  putSetting,
  transactionWithClient,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(() => database.drop());

/** Cuts every other session of the test's database, as a restart of Postgres would. */
async function cutSessions(name: string): Promise<void> {
  await sql`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = ${name} and pid <> pg_backend_pid()`.execute(database.db);
}

describe('the connection', () => {
  it('reads big integers as numbers and times as dates', async () => {
    const { rows } = await sql<{
      size: number;
      at: Date;
    }>`select 1125899906842624::bigint as size, timestamptz '2026-01-02T03:04:05.678Z' as at`.execute(database.db);
    expect(rows).toEqual([{ size: 1_125_899_906_842_624, at: new Date('2026-01-02T03:04:05.678Z') }]);
  });

  it('survives the loss of its sessions', async () => {
    const lost: Error[] = [];
    const other = connect(database.url, { applicationName: 'cut me', onLost: (error) => lost.push(error) });
    expect(await getSetting(other.db, 'none')).toBeUndefined();
    await cutSessions('cut me');
    while (lost.length === 0) await sleep(5);
    expect(isUnavailable(lost[0])).toBe(true);
    expect(databaseError(lost[0])).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    expect(await getSetting(other.db, 'none')).toBeUndefined();
    await other.close();
  });

  it('is told apart from a file that is not there', async () => {
    const nowhere = connect('postgres://nobody@/none?host=/nowhere');
    const away = await sql`select 1`.execute(nowhere.db).catch((error: unknown) => error);
    await nowhere.close();
    expect(isUnavailable(away)).toBe(true);
    expect(isUnavailable(await readFile('/nowhere').catch((error: unknown) => error))).toBe(false);
  });

  it('gives one transaction to the query builder and to the driver', async () => {
    await expect(
      transactionWithClient(database, async (trx, client) => {
        await putSetting(trx, 'both', 1);
        const { rows } = await client.query("select value from setting where key = 'both'");
        expect(rows).toEqual([{ value: 1 }]);
        await inTransaction(trx, (inner) => putSetting(inner, 'both', 2));
        await client.query("insert into setting (key, value) values ('driver', '3')");
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    expect(await getSetting(database.db, 'both')).toBeUndefined();
    expect(await getSetting(database.db, 'driver')).toBeUndefined();
    const kept = await transactionWithClient(database, async (trx, client) => {
      await client.query("insert into setting (key, value) values ('driver', '3')");
      return getSetting(trx, 'driver');
    });
    expect(kept).toBe(3);
    expect(await getSetting(database.db, 'driver')).toBe(3);
  });
});

describe('the listener', () => {
  it('listens again after its session was cut, and says so', async () => {
    const heard: string[] = [];
    let listenings = 0;
    const errors: Error[] = [];
    const listener = listen(database.url, ['news'], {
      onNotify: (channel, payload) => heard.push(`${channel} ${payload}`),
      onListening: () => listenings++,
      onError: (error) => errors.push(error),
    });
    await listener.listening;
    await sql`select pg_notify('news', 'one')`.execute(database.db);
    while (heard.length < 1) await sleep(5);
    await cutSessions('godwit listener');
    while (listenings < 2) await sleep(5);
    await sql`select pg_notify('news', 'two')`.execute(database.db);
    while (heard.length < 2) await sleep(5);
    expect(heard).toEqual(['news one', 'news two']);
    expect(errors.length).toBeGreaterThan(0);
    await listener.close();
  });

  it('keeps trying while there is no database, and can be closed meanwhile', async () => {
    const errors: Error[] = [];
    const listener = listen('postgres://nobody@127.0.0.1:1/none', ['news'], {
      onNotify: () => undefined,
      onError: (error) => errors.push(error),
    });
    while (errors.length < 2) await sleep(5);
    await listener.close();
    const before = errors.length;
    await sleep(400);
    expect(errors.length).toBe(before);
  });
});
