import { type Kysely, sql } from 'kysely';

/** Which snapshot a disk was proven from, and which walk of an execution is the last that began. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table replica_disk add column complete_snapshot text`.execute(db);
  await sql`alter table execution add column walk_no integer not null default 0`.execute(db);
}
