import type { Connection } from '@godwit/store';
import { sql } from 'kysely';
import { type Logger, pino } from 'pino';
import { QUEUE_CHANNEL, ROOM_CHANNEL } from './contract.ts';
import { durableLog } from './durable-log.ts';

/**
 * The engine's own tables, to be run by whoever migrates (`migrate(connection, () => migrateEngine(connection))` of the
 * store, which holds the lock: two at once would break the durable engine's migration).
 *
 * @param log default: silent. The library's own `migrate` writes plain lines to standard output, which no setting changes
 */
export async function migrateEngine(connection: Connection, log: Logger = pino({ level: 'silent' })): Promise<void> {
  // Only who migrates pays for them, not each process that talks to the engine.
  const { migrateSystemDatabase } = await import('@dbos-inc/dbos-sdk/internal/system_database');
  const { GlobalLogger } = await import('@dbos-inc/dbos-sdk/internal/telemetry/logs');
  await migrateSystemDatabase(connection.url, new GlobalLogger(undefined, { logger: durableLog(log) }));
  for (const statement of statements) await sql.raw(statement).execute(connection.db);
}

/**
 * Announces, with the commit, that a queue is worth a look. In the database and not in our code, so that no way into a queue
 * is forgotten (a start, a resumption, a takeover) and none costs a round trip; equal notices of one transaction are one.
 */
const trigger = (name: string, channel: string, when: string): string => `do $do$ begin
  if not exists (select from pg_trigger where tgrelid = 'dbos.workflow_status'::regclass and tgname = '${name}') then
    create trigger ${name} ${when} execute function engine.say_queue('${channel}');
  end if;
end $do$`;

/** Calls that the API waits for live seconds, so they are not logged; a crash of Postgres loses them and the callers ask again. */
const statements = [
  'create schema if not exists engine',
  `create unlogged table if not exists engine.provider_call (
     id text primary key, endpoint_id text not null, method text not null, args jsonb not null,
     state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'given up')),
     service_id text, result jsonb, error jsonb,
     created_at timestamptz not null default clock_timestamp(), expires_at timestamptz not null)`,
  `create index if not exists provider_call_waiting on engine.provider_call (created_at) where state = 'waiting'`,
  `create or replace function engine.say_queue() returns trigger language plpgsql as $$ begin
     perform pg_notify(tg_argv[0], new.queue_name);
     return null;
   end $$`,
  trigger(
    'godwit_queued',
    QUEUE_CHANNEL,
    `after insert on dbos.workflow_status for each row when (new.status = 'ENQUEUED' and new.queue_name is not null)`,
  ),
  trigger(
    'godwit_queued_again',
    QUEUE_CHANNEL,
    `after update of status on dbos.workflow_status for each row
     when (new.status = 'ENQUEUED' and old.status <> 'ENQUEUED' and new.queue_name is not null)`,
  ),
  trigger(
    'godwit_room',
    ROOM_CHANNEL,
    `after update of status on dbos.workflow_status for each row
     when (old.status = 'PENDING' and new.status not in ('PENDING', 'ENQUEUED') and new.queue_partition_key is not null)`,
  ),
];
