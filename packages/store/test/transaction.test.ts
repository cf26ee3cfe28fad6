import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Connection,
  connect,
  type Db,
  getSetting,
  inTransaction,
  putSetting,
  together,
  transact,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from '../src/testing/index.ts';

let database: TestDatabase;
let piped: Connection;
beforeAll(async () => {
  database = await createTestDatabase();
  piped = connect(database.url, { max: 1, pipeline: true });
});
afterAll(async () => {
  await piped.close();
  await database.drop();
});

const write = (trx: Db, key: string) => putSetting(trx, key, 1).then(() => key);
const kept = async (...keys: string[]) => {
  const values = await Promise.all(keys.map((key) => getSetting(database.db, key)));
  return keys.filter((_, nth) => values[nth] !== undefined);
};

describe.each([false, true])('a transaction, pipeline %s', (pipeline) => {
  const over = () => (pipeline ? piped : database);
  const name = (key: string) => `${key}-${pipeline}`;

  it('is kept as a whole, or not at all', async () => {
    const work = async (trx: Db) => {
      await write(trx, name('outer'));
      await inTransaction(trx, (inner) => write(inner, name('inner')));
    };
    await expect(
      transact(over(), async (trx) => {
        await work(trx);
        throw new Error('changed my mind');
      }),
    ).rejects.toThrow('changed my mind');
    expect(await kept(name('outer'), name('inner'))).toEqual([]);
    await transact(over(), work);
    expect(await kept(name('outer'), name('inner'))).toEqual([name('outer'), name('inner')]);
  });

  it('is not taken for committed when a failed statement was hushed up', async () => {
    const hushed = transact(over(), async (trx) => {
      await write(trx, name('hushed'));
      await Promise.allSettled([sql`select 1 / 0`.execute(trx)]);
    });
    await expect(hushed).rejects.toThrow('the transaction was rolled back');
    expect(await kept(name('hushed'))).toEqual([]);
    expect(await transact(over(), (trx) => write(trx, name('next')))).toBe(name('next'));
  });

  it('tells how many rows a change has met', async () => {
    await transact(over(), async (trx) => {
      await write(trx, name('counted'));
      const set = (key: string) =>
        trx.updateTable('setting').set({ value: '2' }).where('key', '=', key).executeTakeFirst();
      expect((await set(name('counted'))).numUpdatedRows).toBe(1n);
      expect((await set(name('missing'))).numUpdatedRows).toBe(0n);
    });
  });
});

describe('statements that go out together', () => {
  it('are done in their order, and nothing of them is kept when one fails', async () => {
    expect(await transact(piped, (trx) => together([write(trx, 'a'), write(trx, 'b'), write(trx, 'c')]))).toEqual([
      'a',
      'b',
      'c',
    ]);
    let after = '';
    const failed = transact(piped, (trx) =>
      together([
        write(trx, 'd'),
        sql`select 1 / 0`.execute(trx),
        write(trx, 'e'),
        // Goes on when the failure is known already: still within the transaction.
        sql`select 1`
          .execute(trx)
          .catch(() => write(trx, 'f'))
          .catch((error: Error) => {
            after = error.message;
          }),
      ]),
    );
    await expect(failed).rejects.toThrow('division by zero');
    expect(after).toContain('current transaction is aborted');
    expect(await kept('d', 'e', 'f')).toEqual([]);
    expect(await kept('a')).toEqual(['a']);
  });

  it('go out with the end of their transaction, which is none when one of them fails', async () => {
    const done = transact(
      piped,
      async (trx, commit) => (await together([write(trx, 'g'), write(trx, 'h'), commit()]))[1],
    );
    expect(await done).toBe('h');
    expect(await kept('g', 'h')).toEqual(['g', 'h']);
    const failed = transact(piped, async (trx, commit) => {
      await together([write(trx, 'i'), sql`select 1 / 0`.execute(trx), write(trx, 'j'), commit()]);
    });
    await expect(failed).rejects.toThrow('division by zero');
    expect(await kept('i', 'j')).toEqual([]);
    expect(await transact(piped, (trx) => write(trx, 'k'))).toBe('k');
  });

  it('are refused after the end was sent, and are not done outside of it', async () => {
    const late = transact(piped, async (trx, commit) => {
      const first = write(trx, 'l');
      const end = commit();
      await together([first, write(trx, 'm'), end]);
    });
    await expect(late).rejects.toThrow('a statement was given to a transaction that has ended');
    expect(await kept('l', 'm')).toEqual(['l']);
  });

  it('are not done one by one when a prepared one turns out to be stale after the end was sent', async () => {
    const other = connect(database.url, { max: 1, pipeline: true });
    await sql`create table stale (key text)`.execute(other.db);
    const read = (trx: Db) => sql`select * from stale where key = ${'x'}`.execute(trx);
    for (let times = 0; times < 5; times++) await transact(other, read);
    await sql`alter table stale add column more text`.execute(database.db);
    const failed = transact(other, async (trx, commit) => {
      await together([write(trx, 'n'), read(trx), write(trx, 'o'), commit()]);
    });
    await expect(failed).rejects.toMatchObject({ code: '0A000' });
    expect(await kept('n', 'o')).toEqual([]);
    await transact(other, async (trx, commit) => {
      await together([write(trx, 'n'), read(trx), write(trx, 'o'), commit()]);
    });
    expect(await kept('n', 'o')).toEqual(['n', 'o']);
    await other.close();
  });

  it('end with their session when it is cut, and the next transaction has another one', async () => {
    const other = connect(database.url, { applicationName: 'cut in transaction', max: 1, pipeline: true });
    const cut = transact(other, async (trx, commit) => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx);
      await sql`select pg_terminate_backend(${rows[0]?.pid ?? 0})`.execute(database.db);
      await sleep(20);
      await together([write(trx, 'p'), commit()]);
    });
    await expect(cut).rejects.toThrow();
    expect(await kept('p')).toEqual([]);
    expect(await transact(other, (trx) => write(trx, 'q'))).toBe('q');
    await other.close();
  });
});
