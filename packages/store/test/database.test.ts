import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Connection,
  connect,
  type Db,
  databaseError,
  getSetting,
  inTransaction,
  isExhausted,
  isUnavailable,
  listen,
  putSetting,
} from '../src/index.ts';
import { PreparedStatements } from '../src/prepared.ts';
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
    expect(isExhausted(away)).toBe(false);
    expect(isUnavailable(await readFile('/nowhere').catch((error: unknown) => error))).toBe(false);
  });

  it('is waited for, too, when the server has none left to give', async () => {
    const role = `few_${randomUUID().replaceAll('-', '')}`;
    await sql`create role ${sql.id(role)} login connection limit 0`.execute(database.db);
    try {
      const url = new URL(database.url);
      url.username = role;
      const few = connect(url.href);
      const refused = await sql`select 1`.execute(few.db).catch((error: unknown) => error);
      await few.close();
      expect(refused).toMatchObject({ code: '53300' });
      expect(isUnavailable(refused)).toBe(true);
      expect(isExhausted(refused)).toBe(true);
      expect(databaseError(refused)).toMatchObject({ code: 'DATABASE_UNAVAILABLE', kind: 'retryable' });
    } finally {
      await sql`drop role ${sql.id(role)}`.execute(database.db);
    }
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

describe('statements that come again', () => {
  const prepared = async (connection: Connection): Promise<number> => {
    const { rows } = await sql<{
      count: number;
    }>`select count(*) from pg_prepared_statements where not from_sql`.execute(connection.db);
    return rows[0]!.count;
  };

  it('are kept prepared by the session, those seen once or twice and those that may be several are not', async () => {
    await using other = await createTestDatabase({ max: 1 });
    for (let n = 0; n < 4; n++) await sql`select 1; select 2`.execute(other.db);
    for (let n = 0; n < 2; n++) await sql`select 3`.execute(other.db);
    for (let n = 0; n < 2; n++) await getSetting(other.db, 'none');
    expect(await prepared(other)).toBe(0);
    for (let n = 0; n < 2; n++) await getSetting(other.db, 'none');
    expect(await prepared(other)).toBe(1);
    for (let n = 0; n < 2; n++) expect((await sql`select 3 as n`.execute(other.db)).rows).toEqual([{ n: 3 }]);
    for (let n = 0; n < 2; n++) await sql`select 3`.execute(other.db);
    // The third is this question itself.
    expect(await prepared(other)).toBe(3);
  });

  it('are of no use to a pool that says so', () => {
    const statements = new PreparedStatements((text) => !text.includes('limit'));
    const name = (text: string) => [1, 2, 3].map(() => statements.nameOf(text)).at(-1);
    expect(name('select 1 limit 7')).toBeUndefined();
    expect(name('select 1')).toBeDefined();
  });

  it('are bounded in number', () => {
    const statements = new PreparedStatements();
    const names = new Set<string | undefined>();
    for (let n = 0; n < 2_500; n++) {
      for (let times = 0; times < 3; times++) names.add(statements.nameOf(`select ${n}`));
    }
    names.delete(undefined);
    expect(names.size).toBe(200);
  });

  it('answer with the columns that a table has now', async () => {
    await using other = await createTestDatabase({ max: 2 });
    const read = (db: Db, key: string) =>
      db.selectFrom('setting').selectAll().where('key', '=', key).executeTakeFirst();
    await putSetting(other.db, 'one', 1);
    for (let n = 0; n < 4; n++) await read(other.db, 'one');
    await sql`alter table setting add column more integer default 7`.execute(other.db);
    expect(await read(other.db, 'one')).toMatchObject({ key: 'one', more: 7 });
    for (let n = 0; n < 4; n++) expect(await read(other.db, 'one')).toMatchObject({ key: 'one', more: 7 });
  });

  it('answer so to who waits by callback too', async () => {
    await using other = await createTestDatabase({ max: 1 });
    // The pool itself asks its sessions so.
    const read = async () => (await other.pool.query('select * from setting where key = $1', ['one'])).rows;
    await putSetting(other.db, 'one', 1);
    for (let n = 0; n < 4; n++) await read();
    expect(await prepared(other)).toBeGreaterThan(0);
    await sql`alter table setting add column more integer default 7`.execute(other.db);
    for (let n = 0; n < 5; n++) expect(await read()).toMatchObject([{ key: 'one', more: 7 }]);
  });

  it('fail once in a transaction when a table has changed, as something that may be done again', async () => {
    await using other = await createTestDatabase({ max: 1 });
    const read = (db: Db) => db.selectFrom('setting').selectAll().where('key', '=', 'one').executeTakeFirst();
    await putSetting(other.db, 'one', 1);
    for (let n = 0; n < 4; n++) await read(other.db);
    await sql`alter table setting add column more integer default 7`.execute(other.db);
    const failed = await inTransaction(other.db, read).catch((error: unknown) => error);
    expect(isUnavailable(failed)).toBe(true);
    expect(await inTransaction(other.db, read)).toMatchObject({ more: 7 });
  });
});

describe('moments', () => {
  it('are read as the driver reads them, whatever zone the session speaks', async () => {
    await using other = await createTestDatabase({ max: 1 });
    for (const zone of ['UTC', 'Asia/Kolkata', 'America/New_York']) {
      await sql`set timezone to ${sql.lit(zone)}`.execute(other.db);
      for (const text of [
        '2026-01-02T03:04:05Z',
        '2026-12-31T23:59:59.9Z',
        '1999-12-31T23:59:59.120Z',
        '0044-03-15T10:00:00.003Z',
        '+012026-02-28T23:00:00.000Z',
      ]) {
        const at = new Date(text);
        const { rows } = await sql<{ at: Date }>`select ${text.replace('+01', '1')}::timestamptz as at`.execute(
          other.db,
        );
        expect(rows).toEqual([{ at }]);
      }
    }
    const { rows } = await sql<{ at: unknown }>`select 'infinity'::timestamptz as at`.execute(other.db);
    expect(rows).toEqual([{ at: Number.POSITIVE_INFINITY }]);
  });
});
