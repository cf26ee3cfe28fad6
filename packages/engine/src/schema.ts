import { DBOS } from '@dbos-inc/dbos-sdk';
import type { Connection } from '@godwit/store';
import { sql } from 'kysely';

/**
 * The engine's own tables, to be run by whoever migrates (`migrate(connection, () => migrateEngine(connection))` of the
 * store, which holds the lock: two at once would break the durable engine's migration).
 */
export async function migrateEngine(connection: Connection): Promise<void> {
  await DBOS.migrate(connection.url);
  for (const statement of statements) await sql.raw(statement).execute(connection.db);
}

/** Calls that the API waits for live seconds, so they are not logged; a crash of Postgres loses them and the callers ask again. */
const statements = [
  'create schema if not exists engine',
  `create unlogged table if not exists engine.provider_call (
     id text primary key, endpoint_id text not null, method text not null, args jsonb not null,
     state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'given up')),
     service_id text, result jsonb, error jsonb,
     created_at timestamptz not null default clock_timestamp(), expires_at timestamptz not null)`,
  `create index if not exists provider_call_waiting on engine.provider_call (created_at) where state = 'waiting'`,
];
