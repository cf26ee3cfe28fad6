import { type RawBuilder, sql } from 'kysely';
import type { Db } from './database.ts';

/**
 * Versions of rows: what tells whether an answer that was made of them is still what it would be now, at a fraction of
 * what reading them costs. A row's version is its id, the transaction that wrote it (`xmin`) and where it lies (`ctid`):
 * whatever changes a row, by whichever process, changes at least the second. Equal versions before and after something was
 * read mean that it was read as it is, because rows that count here are never removed and put back.
 */

/** The version of a row of `table`, under the name `version`. */
export function rowVersion(table: string) {
  return versionText(table).as('version');
}

/** The same as an expression. */
export function versionText(table: string): RawBuilder<string> {
  const column = (name: string) => sql.ref(`${table}.${name}`);
  return sql<string>`${column('id')} || ${column('xmin')} || ${column('ctid')}`;
}

/** All values of the column `version`, together. */
export const joinedVersions = sql`string_agg(version, ',')`;

/** The one text that a query gives; undefined when it is null or there is none. */
export async function readVersion(db: Db, query: RawBuilder<unknown>): Promise<string | undefined> {
  const { rows } = await sql<{ version: string | null }>`select (${query}) as version`.execute(db);
  return rows[0]?.version ?? undefined;
}
