import { sql } from 'kysely';
import type { Db } from './database.ts';

/** A table that exists between the first and the last step of a restore; before the others, and after. */
export const RESTORE_MARK = 'restore_under_way';

/** True when a restore has begun and not ended: nobody may begin work in such a database. */
export async function isHalfRestored(db: Db): Promise<boolean> {
  const { rows } = await sql<{ half: boolean }>`
    select to_regclass(${`public.${RESTORE_MARK}`}) is not null as half`.execute(db);
  return rows[0]?.half === true;
}

export async function markHalfRestored(db: Db, half: boolean): Promise<void> {
  const name = sql.table(`public.${RESTORE_MARK}`);
  if (half) await sql`create table if not exists ${name} (since timestamptz not null default now())`.execute(db);
  else await sql`drop table if exists ${name}`.execute(db);
}
