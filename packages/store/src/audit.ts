import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { AuditRecord } from './control-tables.ts';
import type { Db } from './database.ts';
import { inTransaction } from './transaction.ts';

/** What a record says; number, time and hashes are added when it is written. */
export type NewAuditRecord = Omit<AuditRecord, 'number' | 'at' | 'previous' | 'hash'>;

/** Key of the advisory lock under which the chain grows by one batch at a time. */
const LOCK = 7_000_005;
/** What the first record follows. */
const ORIGIN = '0'.repeat(64);

/**
 * The hash of a record: SHA-256 over its columns as a JSON list, the previous hash first. Whoever changes, removes or
 * inserts one breaks every hash after it.
 */
export function auditHash(record: Omit<AuditRecord, 'hash'>): string {
  const { previous, number, at, request_id, user_id, user_name, project_id, address, action, object, status } = record;
  const list = [
    previous,
    number,
    at.toISOString(),
    request_id,
    user_id,
    user_name,
    project_id,
    address,
    action,
    object,
    status,
  ];
  return createHash('sha256').update(JSON.stringify(list)).digest('hex');
}

/** Appends records in order, in one transaction. */
export async function appendAudit(db: Db, records: readonly NewAuditRecord[]): Promise<void> {
  if (records.length === 0) return;
  await inTransaction(db, async (trx) => {
    await sql`select pg_advisory_xact_lock(${LOCK})`.execute(trx);
    const last = await trx
      .selectFrom('audit_record')
      .select(['number', 'hash'])
      .orderBy('number', 'desc')
      .limit(1)
      .executeTakeFirst();
    let number = Number(last?.number ?? 0);
    let previous = last?.hash ?? ORIGIN;
    const now = await sql<{ at: Date }>`select date_trunc('milliseconds', clock_timestamp()) as at`.execute(trx);
    const at = now.rows[0]!.at;
    const rows = records.map((record) => {
      number += 1;
      const row = { ...record, number, at, previous };
      previous = auditHash(row);
      return { ...row, hash: previous };
    });
    await trx.insertInto('audit_record').values(rows).execute();
  });
}

/** Records after a number, oldest first. */
export async function listAudit(
  db: Db,
  query: { after?: number; limit: number; projectId?: string },
): Promise<AuditRecord[]> {
  const rows = await db
    .selectFrom('audit_record')
    .selectAll()
    .where('number', '>', query.after ?? 0)
    .$if(query.projectId !== undefined, (q) => q.where('project_id', '=', query.projectId!))
    .orderBy('number')
    .limit(query.limit)
    .execute();
  return rows.map((row) => ({ ...row, number: Number(row.number) }));
}

/** The number of the first record that does not fit its predecessor; undefined when the chain is whole. */
export async function brokenAudit(db: Db): Promise<number | undefined> {
  let previous = ORIGIN;
  let number = 0;
  for (;;) {
    const rows = await listAudit(db, { after: number, limit: 1_000 });
    for (const row of rows) {
      number += 1;
      if (row.number !== number || row.previous !== previous || row.hash !== auditHash(row)) return number;
      previous = row.hash;
    }
    if (rows.length === 0) return undefined;
  }
}
