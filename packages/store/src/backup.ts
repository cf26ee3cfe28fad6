import { existsSync } from 'node:fs';
import { GodwitError } from '@godwit/domain';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { type BackupHeader, type BackupKeys, type BackupTable, BackupWriter } from './backup-file.ts';
import type { Connection } from './database.ts';
import { migrations } from './migrations/index.ts';
import { keysInUse } from './rotate-secrets.ts';

export interface BackupOptions {
  /** Version of this Godwit. */
  godwit: string;
  /** Put into the file too. Default: they are not in it. */
  keys?: BackupKeys;
  /** Replace a file of that name. Default false. */
  force?: boolean;
  /** A line for whoever watches. */
  say?: (line: string) => void;
}

/** Kept by the migrator. */
const MIGRATOR = ['kysely_migration', 'kysely_migration_lock'];
/** Whoever was let in is not let in again by a backup: everybody signs in anew. */
const LEFT_OUT = [...MIGRATOR, 'auth_token'];

/**
 * Writes all of Godwit's tables to a file as they are at one moment, while everything goes on. Of the durable engine nothing
 * is taken: a restored installation begins its work anew.
 *
 * @throws GodwitError CONFLICT when the file exists; BACKUP_WRITE; DATABASE_UNAVAILABLE
 */
export async function backupDatabase(
  connection: Connection,
  file: string,
  options: BackupOptions,
): Promise<BackupHeader & { rows: number }> {
  const { keys, say = () => undefined } = options;
  if (options.force !== true && existsSync(file)) {
    throw new GodwitError('CONFLICT', file, { reason: 'it exists already; --force replaces it' });
  }
  const client = await connection.pool.connect();
  try {
    // All of it is seen as it is at the first statement.
    await client.query('begin isolation level repeatable read read only');
    const header: BackupHeader = {
      type: 'godwit-backup',
      version: 1,
      godwit: options.godwit,
      taken_at: (await one<{ at: Date }>(client, 'select clock_timestamp() as at')).at.toISOString(),
      migrations: await migrationsIn(client),
      key_ids: await keysInUse(client),
      with_keys: keys !== undefined,
    };
    const writer = new BackupWriter(file, header);
    try {
      if (keys !== undefined) await writer.keys(keys);
      const rows: Record<string, number> = {};
      for (const table of await tablesIn(client)) {
        await writer.table(table);
        const stream = client.query(copyTo(`copy ${quotedTable(table)} to stdout`));
        let bytes = 0;
        for await (const chunk of stream as AsyncIterable<Buffer>) {
          await writer.rows(chunk);
          bytes += chunk.length;
        }
        rows[table.name] = stream.rowCount;
        if (stream.rowCount > 0) say(`${table.name}: ${stream.rowCount} rows, ${bytes} bytes`);
      }
      await writer.end({ rows, sequences: await sequencesIn(client) });
      return { ...header, rows: Object.values(rows).reduce((sum, count) => sum + count, 0) };
    } catch (error) {
      await writer.abandon();
      throw error;
    }
  } finally {
    // A connection in the middle of a COPY serves nobody any more.
    client.release(true);
  }
}

/** `public."name" ("column", ...)` for COPY. */
export function quotedTable({ columns, name }: BackupTable): string {
  const quote = (word: string): string => `"${word.replaceAll('"', '""')}"`;
  return `public.${quote(name)} (${columns.map(quote).join(', ')})`;
}

/** Names of the migrations that this database has, in order; of which this program knows all. */
async function migrationsIn(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>('select name from public.kysely_migration order by name');
  const names = rows.map((row) => row.name);
  const unknown = names.find((name) => !Object.hasOwn(migrations, name));
  if (unknown !== undefined) throw new GodwitError('DATABASE_NEWER', 'the database', { migration: unknown });
  return names;
}

/** Tables to be kept, those that others refer to first. */
async function tablesIn(client: pg.ClientBase): Promise<BackupTable[]> {
  const { rows } = await client.query<{ name: string; columns: string[]; after: string[] }>(
    `select class.relname as name,
       array(select attname::text from pg_attribute where attrelid = class.oid and attnum > 0 and not attisdropped
         and attgenerated = '' order by attnum) as columns,
       array(select distinct other.relname::text from pg_constraint join pg_class other on other.oid = confrelid
         where conrelid = class.oid and contype = 'f' and confrelid <> conrelid) as after
     from pg_class class where relnamespace = 'public'::regnamespace and relkind = 'r' and relpersistence = 'p'
       and relname <> all ($1) order by 1`,
    [LEFT_OUT],
  );
  const sorted: BackupTable[] = [];
  const left = new Map(rows.map((row) => [row.name, row]));
  while (left.size > 0) {
    const next = [...left.values()].find((row) => !row.after.some((name) => left.has(name)));
    if (next === undefined)
      throw new GodwitError('INTERNAL', 'the database', { reason: 'its tables refer in a circle' });
    left.delete(next.name);
    sorted.push({ name: next.name, columns: next.columns });
  }
  return sorted;
}

async function sequencesIn(client: pg.ClientBase): Promise<Record<string, string>> {
  const { rows } = await client.query<{ name: string; value: string }>(
    `select sequencename as name, last_value::text as value from pg_sequences
     where schemaname = 'public' and last_value is not null`,
  );
  return Object.fromEntries(rows.map((row) => [row.name, row.value]));
}

async function one<T extends pg.QueryResultRow>(client: pg.ClientBase, text: string): Promise<T> {
  const { rows } = await client.query<T>(text);
  return rows[0]!;
}
