import { GodwitError } from '@godwit/domain';
import { sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { Connection } from './database.ts';
import { isEventOriginSettled, settleEventOrigin } from './event-origin.ts';
import { migrations } from './migrations/index.ts';
import { isHalfRestored } from './restore-mark.ts';

/** Key of the advisory lock that lets one migrator at a time in, whichever program it runs in. */
const LOCK = 7_000_001;

/**
 * Brings the schema up to date and returns the names of the migrations it ran. Any number of processes may call it at
 * once: one works, the others wait and find nothing to do.
 *
 * @param also run under the same lock after the tables are there (the durable engine's own schema)
 * @throws GodwitError `DATABASE_UNAVAILABLE`; `DATABASE_HALF_RESTORED`; `DATABASE_NEWER`; `DATABASE_START`
 * when a migration fails (nothing of it remains)
 */
export async function migrate(connection: Connection, also?: () => Promise<void>): Promise<string[]> {
  try {
    return await connection.db.connection().execute(async (session) => {
      await sql`select pg_advisory_lock(${LOCK})`.execute(session);
      try {
        if (await isHalfRestored(connection.db)) throw new GodwitError('DATABASE_HALF_RESTORED', 'the database');
        const ran = await runMigrations(connection.db);
        await settleEventOrigin(connection.db, new Date());
        await also?.();
        return ran;
      } finally {
        await sql`select pg_advisory_unlock(${LOCK})`.execute(session);
      }
    });
  } catch (error) {
    throw GodwitError.wrap(error, 'DATABASE_UNAVAILABLE', 'the database');
  }
}

/** @param last migration to end with; default all */
export async function runMigrations(db: Connection['db'], last?: string): Promise<string[]> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
  const { error, results } = last === undefined ? await migrator.migrateToLatest() : await migrator.migrateTo(last);
  if (error !== undefined) {
    const newer = /previously executed migration (\S+) is missing/.exec(
      error instanceof Error ? error.message : '',
    )?.[1];
    if (newer !== undefined)
      throw new GodwitError('DATABASE_NEWER', 'The database', { migration: newer }, { cause: error });
    const failed = results?.find((result) => result.status === 'Error')?.migrationName ?? 'the schema';
    throw GodwitError.wrap(error, 'DATABASE_START', `migration ${failed}`);
  }
  return (results ?? []).filter((result) => result.status === 'Success').map((result) => result.migrationName);
}

/** @throws GodwitError `DATABASE_NEWER` when it has run a migration that is not known here */
export async function refuseNewer(db: Connection['db']): Promise<void> {
  const table = await sql<{ name: string | null }>`select to_regclass('public.kysely_migration')::text as name`.execute(
    db,
  );
  if (table.rows[0]?.name == null) return;
  const { rows } = await sql<{ name: string }>`
    select name from public.kysely_migration
    where name <> all(${Object.keys(migrations)}) order by name limit 1`.execute(db);
  if (rows[0] !== undefined) throw new GodwitError('DATABASE_NEWER', 'The database', { migration: rows[0].name });
}

/**
 * True when every known migration has run, in the cluster that the database is in now, and no restore is under way: what a
 * process checks that must not migrate by itself.
 *
 * @throws GodwitError `DATABASE_NEWER`: waiting would not help
 */
export async function isMigrated(connection: Connection): Promise<boolean> {
  await refuseNewer(connection.db);
  const migrator = new Migrator({ db: connection.db, provider: { getMigrations: async () => migrations } });
  const all = await migrator.getMigrations();
  const ran = all.every((migration) => migration.executedAt !== undefined);
  return ran && (await isEventOriginSettled(connection.db)) && !(await isHalfRestored(connection.db));
}
