import { type Kysely, sql } from 'kysely';

/** Which statuses a webhook wants to hear of; none: all. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table webhook add column statuses jsonb not null default '[]'`.execute(db);
}
