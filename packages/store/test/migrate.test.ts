import { sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connect, isMigrated, migrate } from '../src/index.ts';
import { migrations } from '../src/migrations/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase({ migrated: false });
});
afterAll(() => database.drop());

it('migrates once however many migrators start at the same time', async () => {
  expect(await isMigrated(database)).toBe(false);
  const connections = Array.from({ length: 20 }, () => connect(database.url, { max: 2 }));
  let also = 0;
  let under = 0;
  try {
    const ran = await Promise.all(
      connections.map((connection) =>
        migrate(connection, async () => {
          also++;
          under++;
          expect(under).toBe(1);
          await sql`select pg_sleep(0.01)`.execute(connection.db);
          under--;
        }),
      ),
    );
    expect(ran.flat()).toEqual(Object.keys(migrations));
    expect(also).toBe(20);
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
  }
  expect(await isMigrated(database)).toBe(true);
});

it('refuses a database that a newer Godwit has migrated, names what it does not know, and changes nothing', async () => {
  const { db } = database;
  await sql`insert into kysely_migration (name, timestamp) values ('9999-later', '2030-01-01')`.execute(db);
  const refusal = { code: 'DATABASE_NEWER', details: { migration: '9999-later' } };
  await expect(migrate(database)).rejects.toMatchObject(refusal);
  await expect(isMigrated(database)).rejects.toMatchObject(refusal);
  await sql`delete from kysely_migration where name = '9999-later'`.execute(db);
  expect(await migrate(database)).toEqual([]);
});

it('says that the database does not answer', async () => {
  const nowhere = connect('postgres://nobody@127.0.0.1:1/none');
  await expect(migrate(nowhere)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  await nowhere.close();
});
