import { type Kysely, sql } from 'kysely';

/**
 * Transaction numbers begin anew in another cluster. An event's place is therefore counted from a base, which rises whenever
 * the database wakes up in another cluster (see event-origin.ts): places only ever grow.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const statements = [
    `create table event_origin (
      id boolean primary key default true check (id), cluster text not null, base bigint not null default 0)`,
    `insert into event_origin (cluster) values ('')`,
    `create function event_place() returns xid8 language sql volatile
      return ((select base from event_origin) + pg_current_xact_id()::text::bigint)::text::xid8`,
    `alter table event alter column xid set default event_place()`,
  ];
  for (const statement of statements) await sql.raw(statement).execute(db);
}
