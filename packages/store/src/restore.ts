import { GodwitError } from '@godwit/domain';
import { sql } from 'kysely';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { quotedTable } from './backup.ts';
import { type BackupEnd, type BackupHeader, type BackupKeys, readBackup, readBackupHeader } from './backup-file.ts';
import type { Connection } from './database.ts';
import { runMigrations } from './migrate.ts';
import { migrations } from './migrations/index.ts';
import { markHalfRestored, RESTORE_MARK } from './restore-mark.ts';
import { type Aftermath, disownPast } from './restore-past.ts';

export interface RestoreOptions {
  /** Replace what is in the database. Default false. */
  force?: boolean;
  /** Look at everything, change nothing. Default false. */
  dryRun?: boolean;
  /**
   * The caller vouches that nothing ran between the backup and now (stopped before it, started never since): then disks,
   * leaf tables and the ledger count on. Default false.
   */
  asIs?: boolean;
  /** Sees to it that the secrets can be opened: gets the ids of the keys, and the keys if they are in the backup. */
  requireKeys: (ids: readonly string[], keys: BackupKeys | undefined) => void;
  /** The durable engine's own tables, made last. */
  also: () => Promise<void>;
  /** A line for whoever watches. */
  say?: (line: string) => void;
}

export interface Restored {
  header: BackupHeader;
  rows: number;
  /** Absent after a dry run. */
  aftermath?: Aftermath;
}

/** Name under which a restore is connected: the only program of Godwit that may be. */
export const RESTORER = 'godwit-restore';

/**
 * Sets a database to what a backup holds. The file is read through before anything is touched; then a mark stands in the
 * database, without which to be taken away nobody works there, until the end.
 *
 * @param connection made with the application name {@link RESTORER}
 * @throws GodwitError BACKUP_FILE, DATABASE_NEWER, DATABASE_NOT_EMPTY, DATABASE_IN_USE, SECRET_KEY_MISSING: nothing was
 *   changed then
 */
export async function restoreDatabase(
  connection: Connection,
  file: string,
  options: RestoreOptions,
): Promise<Restored> {
  const say = options.say ?? (() => undefined);
  const header = await readBackupHeader(file);
  say(`${file}: of Godwit ${header.godwit}, taken at ${header.taken_at}`);
  const unknown = header.migrations.find((name) => !Object.hasOwn(migrations, name));
  if (unknown !== undefined) throw new GodwitError('DATABASE_NEWER', file, { migration: unknown });
  const { end, keys } = await readThrough(file);
  const rows = Object.values(end.rows).reduce((sum, count) => sum + count, 0);
  say(`the file is whole: ${rows} rows in ${Object.keys(end.rows).length} tables`);
  await refuseUse(connection);
  if (options.force !== true && (await hasTables(connection))) {
    throw new GodwitError('DATABASE_NOT_EMPTY', 'the database');
  }
  if (options.dryRun === true) {
    // Keys in the file would be taken over: that changes something. Without them a missing one is told now.
    if (keys === undefined) options.requireKeys(header.key_ids, undefined);
    return { header, rows };
  }
  options.requireKeys(header.key_ids, keys);
  const { db } = connection;
  await markHalfRestored(db, true);
  await clear(connection);
  await runMigrations(db, header.migrations.at(-1));
  await load(connection, file, end, say);
  await runMigrations(db);
  await options.also();
  const aftermath = await disownPast(db, header, options.asIs === true);
  await markHalfRestored(db, false);
  return { header, rows, aftermath };
}

async function readThrough(file: string): Promise<{ end: BackupEnd; keys: BackupKeys | undefined }> {
  let end: BackupEnd | undefined;
  let keys: BackupKeys | undefined;
  for await (const part of readBackup(file)) {
    if (part.kind === 'end') end = part.end;
    else if (part.kind === 'keys') keys = part.keys;
  }
  if (end === undefined) throw new GodwitError('BACKUP_FILE', file, { reason: 'it is cut off' });
  return { end, keys };
}

/** Refused as long as any other program of Godwit is connected: it would go on with what it remembers. */
async function refuseUse({ pool }: Connection): Promise<void> {
  const { rows } = await pool.query<{ name: string; count: string }>(
    `select application_name as name, count(*) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and application_name <> $1
       and (application_name like 'godwit%' or application_name like 'dbos%') group by 1 order by 1`,
    [RESTORER],
  );
  if (rows.length === 0) return;
  const programs = rows.map((row) => `${row.name} (${row.count})`).join(', ');
  throw new GodwitError('DATABASE_IN_USE', 'the database', { programs });
}

async function hasTables({ pool }: Connection): Promise<boolean> {
  const { rows } = await pool.query(
    `select 1 from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
     union all select 1 from pg_namespace where nspname = 'dbos' limit 1`,
  );
  return rows.length > 0;
}

/** Takes away all that is there; the database is Godwit's own. */
async function clear({ db, pool }: Connection): Promise<void> {
  await sql`drop schema if exists dbos cascade`.execute(db);
  await sql`drop schema if exists engine cascade`.execute(db);
  const { rows } = await pool.query<{ statement: string }>(
    `select format('drop table public.%I cascade', relname) as statement from pg_class
     where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> $1
     union all
     select format('drop function if exists %s cascade', oid::regprocedure) from pg_proc
     where pronamespace = 'public'::regnamespace
       and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e')`,
    [RESTORE_MARK],
  );
  for (const { statement } of rows) await pool.query(statement);
}

/** All tables in one transaction. */
async function load(connection: Connection, file: string, end: BackupEnd, say: (line: string) => void): Promise<void> {
  const client = await connection.pool.connect();
  try {
    await client.query('begin');
    // What migrations have written there is in the backup too.
    await client.query('delete from event_origin');
    let table: Loading | undefined;
    const finish = async (): Promise<void> => {
      if (table === undefined) return;
      const { name } = table;
      const count = await table.end();
      if (count !== end.rows[name]) {
        throw new GodwitError('BACKUP_FILE', file, { reason: `${name} has ${count} rows of ${end.rows[name]}` });
      }
      if (count > 0) say(`${name}: ${count} rows`);
    };
    for await (const part of readBackup(file)) {
      if (part.kind === 'table') {
        await finish();
        table = new Loading(client, part.table.name, `copy ${quotedTable(part.table)} from stdin`);
      } else if (part.kind === 'rows') await table?.write(part.bytes);
    }
    await finish();
    for (const [name, value] of Object.entries(end.sequences)) {
      await client.query('select setval($1::regclass, $2)', [`public."${name}"`, value]);
    }
    await client.query('commit');
    client.release();
  } catch (error) {
    client.release(true);
    throw error;
  }
}

/** One table on its way in. */
class Loading {
  readonly name: string;
  readonly #stream: ReturnType<typeof copyFrom>;
  readonly #done: Promise<void>;

  constructor(client: pg.ClientBase, name: string, statement: string) {
    this.name = name;
    this.#stream = client.query(copyFrom(statement));
    this.#done = new Promise((resolve, reject) => this.#stream.once('finish', resolve).once('error', reject));
    this.#done.catch(() => undefined);
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.#stream.write(bytes)) return;
    await Promise.race([new Promise<void>((resolve) => this.#stream.once('drain', resolve)), this.#done]);
  }

  async end(): Promise<number> {
    this.#stream.end();
    await this.#done;
    return this.#stream.rowCount;
  }
}
