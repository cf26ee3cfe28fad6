import { type DatabaseConnection, PostgresDialect, Transaction } from 'kysely';
import type pg from 'pg';
import { type Connection, type Db, isUnavailable } from './database.ts';
import type { Database } from './tables.ts';

/** Runs `work` in the transaction that `db` already is, or in a new one. */
export function inTransaction<T>(db: Db, work: (trx: Db) => Promise<T>): Promise<T> {
  return db.isTransaction ? work(db) : db.transaction().execute(work);
}

/**
 * Runs `work` in a transaction of its own, whose statements may be on their way at once, see `together`. Over a connection
 * with `pipeline` its beginning goes out with the first of them.
 *
 * @param work its `commit` sends the end of the transaction behind the statements given so far, for work that knows that
 *   nothing can refuse it any more but they; given to `together` with them, end and statements are one wait. Statements given
 *   after it are refused, and are not done. Work that does not call it is committed after it.
 * @throws Error when the server rolled back although nobody was told of a statement that failed
 */
export async function transact<T>(
  connection: Connection,
  work: (trx: Transaction<Database>, commit: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const client = await connection.pool.connect();
  let end: Promise<void> | undefined;
  let broken: Error | undefined;
  const commit = (): Promise<void> => {
    end ??= sendCommit(client);
    return end;
  };
  const trx = transactionOf(connection, client, () => {
    if (end !== undefined) throw new Error('a statement was given to a transaction that has ended');
  });
  const begun = client.query('begin');
  try {
    if (connection.pool.options.pipeline !== true) await begun;
    const [, result] = await together([begun, work(trx, commit)]);
    await commit();
    return result;
  } catch (error) {
    await Promise.allSettled([end ?? client.query('rollback')]);
    if (isUnavailable(error)) broken = error instanceof Error ? error : new Error(String(error));
    throw error;
  } finally {
    client.release(broken);
  }
}

/** Commits, and does not take for a commit what the server answers after a statement that failed: that it rolled back. */
async function sendCommit(client: pg.PoolClient): Promise<void> {
  const { command } = await client.query('commit');
  if (command !== 'COMMIT') throw new Error('the transaction was rolled back: a statement of it had failed');
}

/** The query builder upon one session. Its statements do not wait for each other here: the session sends them in their order. */
function transactionOf(connection: Connection, client: pg.PoolClient, check: () => void): Transaction<Database> {
  const session: DatabaseConnection = {
    executeQuery: async ({ sql, parameters }) => {
      check();
      const { rowCount, rows } = await client.query(sql, [...parameters]);
      return { numAffectedRows: BigInt(rowCount ?? 0), rows };
    },
    streamQuery: () => {
      throw new Error('rows are not streamed in a transaction');
    },
  };
  const dialect = new PostgresDialect({ pool: connection.pool });
  const executor = connection.db.getExecutor().withConnectionProvider({ provideConnection: (use) => use(session) });
  return new Transaction<Database>({ config: { dialect }, dialect, driver: dialect.createDriver(), executor });
}

/**
 * Statements of one transaction that are on their way at once, see `ConnectOptions.pipeline`; their results in order. When one
 * fails the others are waited for before it rejects, with the first one's error: what would come after the end of the
 * transaction would not be of it.
 */
export async function together<T extends readonly unknown[] | []>(
  statements: T,
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  await Promise.allSettled(statements);
  return Promise.all(statements);
}
