import { type Kysely, sql } from 'kysely';

/** What has happened so often since the installation was made: written as rows of their own, so that nobody waits. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create table tally (
    id bigint generated always as identity primary key, name text not null, amount bigint not null)`.execute(db);
  // Workers take tasks over one by one, and queues are asked about every few seconds.
  await sql`create index task_handed_out on task (updated_at) where status = 'PENDING'`.execute(db);
}
