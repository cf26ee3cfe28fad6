import { sql } from 'kysely';
import type { Db } from './database.ts';

/** Transactions that a base leaves room for: 35 years at a thousand a second. */
const ROOM = 2n ** 40n;
/** Bases are hours since then, so that two restores of one backup hardly ever get the same one. */
const FIRST_HOUR = Date.UTC(2026, 0) / 3_600_000;

interface Origin {
  cluster: string;
  here: string;
  base: string;
  /** The next place that an event would get. */
  next: string;
  newest: string;
}

/** The cluster and its history (another one after each promotion). */
const HERE = sql<string>`(
  select concat_ws('/', system.system_identifier, checkpoint.timeline_id)
  from pg_control_system() system, pg_control_checkpoint() checkpoint)`;

async function readOrigin(db: Db): Promise<Origin> {
  const { rows } = await sql<Origin>`
    select cluster, ${HERE} as here, base::text as base,
      (base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint)::text as next,
      coalesce((select xid::text from event order by xid desc limit 1), '0') as newest
    from event_origin`.execute(db);
  return rows[0]!;
}

/** True when the database has woken up where its transaction numbers mean nothing: restored, or promoted. */
function isElsewhere(origin: Origin): boolean {
  return origin.cluster !== origin.here || BigInt(origin.newest) >= BigInt(origin.next);
}

/** False until {@link settleEventOrigin} has looked at this database in this cluster: nobody may write events before. */
export async function isEventOriginSettled(db: Db): Promise<boolean> {
  const { rows } = await sql<{ settled: boolean }>`select cluster = ${HERE} as settled from event_origin`.execute(db);
  return rows[0]?.settled === true;
}

/**
 * To be called by whoever migrates. When the database has come from another cluster, the events that it brought keep their
 * places and all that follow get higher ones; readers who were there before go on where they were. True when it was so.
 */
export async function settleEventOrigin(db: Db, now: Date): Promise<boolean> {
  if (!isElsewhere(await readOrigin(db))) return false;
  return db.transaction().execute(async (trx) => {
    // Writers under way have places below the old base: they must be through before readers go beyond it.
    await sql`lock table event in share row exclusive mode`.execute(trx);
    const origin = await readOrigin(trx);
    if (!isElsewhere(origin)) return false;
    const fresh = origin.cluster === '' && BigInt(origin.newest) < BigInt(origin.next);
    const hours = BigInt(Math.floor(now.getTime() / 3_600_000) - FIRST_HOUR);
    const above = BigInt(origin.newest) / ROOM + 1n;
    const base = fresh ? BigInt(origin.base) : (hours > above ? hours : above) * ROOM;
    await sql`update event_origin set cluster = ${origin.here}, base = ${base.toString()}::bigint`.execute(trx);
    return !fresh;
  });
}
