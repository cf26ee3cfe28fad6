import { sql } from 'kysely';
import type { Db } from './database.ts';

/**
 * What is counted over the life of an installation. `recoveries`: tasks that were begun again after their worker had died;
 * `verify_mismatches`: tasks that ended because a target was not what was written; `disks_proven`, and bytes of theirs.
 */
export const TALLIES = [
  'recoveries',
  'verify_mismatches',
  'disks_proven',
  'bytes_read',
  'bytes_sent',
  'bytes_zeroed',
  'bytes_skipped',
  'bytes_resent',
] as const;
export type Tally = (typeof TALLIES)[number];

/** Counts. Takes no lock that anybody waits for: each call adds rows, and {@link foldTallies} makes few of many. */
export async function addTallies(db: Db, amounts: Partial<Record<Tally, number>>): Promise<void> {
  const rows = Object.entries(amounts).flatMap(([name, amount]) => (amount > 0 ? [{ name, amount }] : []));
  if (rows.length > 0) await db.insertInto('tally').values(rows).execute();
}

export async function readTallies(db: Db): Promise<Record<Tally, number>> {
  const rows = await db
    .selectFrom('tally')
    .select((eb) => ['name', eb.fn.sum<string>('amount').as('amount')])
    .groupBy('name')
    .execute();
  const sums = new Map(rows.map((row) => [row.name, Number(row.amount)]));
  return Object.fromEntries(TALLIES.map((name) => [name, sums.get(name) ?? 0])) as Record<Tally, number>;
}

/** Adds the rows up; to be called now and then, by one at a time. */
export async function foldTallies(db: Db): Promise<void> {
  await sql`with gone as (delete from tally returning name, amount)
    insert into tally (name, amount) select name, sum(amount) from gone group by name`.execute(db);
}
