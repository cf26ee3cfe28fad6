import { GodwitError } from '@godwit/domain';
import type { LedgerEntry, LedgerKind } from '@godwit/provider';
import {
  type LedgerRow,
  mappedRegions,
  markRemovalFailed,
  markRemoved,
  markRemoving,
  openConnectionInfo,
  reapableLedger,
} from '@godwit/store';
import { sql } from 'kysely';
import { LOCKS } from './contract.ts';
import { taskLedger } from './ledger.ts';
import { endpointWorkDir } from './task-context.ts';
import type { WorkerContext } from './worker-context.ts';

/** Milliseconds between looks; word that something became removable comes at once. */
export const REAPER_EVERY_MS = 15_000;
/** Milliseconds that one removal may take. */
const REMOVAL_MS = 120_000;
const FIRST_WAIT_MS = 1_000;
const MAX_WAIT_MS = 300_000;

/**
 * Removes what nobody needs any more, newest first, and nothing that the ledger does not name. An entry that cannot be
 * removed keeps its reason in `last_error` and is tried again, 1 s to 5 min later. One worker at a time for each endpoint.
 * Returns how many entries went.
 */
export async function reap(worker: WorkerContext): Promise<number> {
  const due = (await reapableLedger(worker.db)).filter((row) => isDue(row, Date.now()));
  let removed = 0;
  for (const [endpointId, rows] of Map.groupBy(due, (row) => row.endpoint_id)) {
    removed += await reapEndpoint(worker, endpointId, rows);
  }
  return removed;
}

/** Pause between tries grows with their number. */
function isDue(row: LedgerRow, now: number): boolean {
  if (row.attempts === 0 || row.updated_at === null) return true;
  const wait = Math.min(FIRST_WAIT_MS * 2 ** (row.attempts - 1), MAX_WAIT_MS);
  return now - row.updated_at.getTime() >= wait;
}

async function reapEndpoint(worker: WorkerContext, endpointId: string, rows: LedgerRow[]): Promise<number> {
  const endpoint = await worker.db
    .selectFrom('endpoint')
    .select(['id', 'name', 'type'])
    .where('id', '=', endpointId)
    .executeTakeFirst();
  if (endpoint === undefined || !worker.providers.names.includes(endpoint.type)) return 0;
  const regions = (await mappedRegions(worker.db, 'endpoint', [endpointId])).get(endpointId) ?? [];
  if (regions.length > 0 && !regions.some((region) => worker.service.regions.has(region))) return 0;
  return worker.db.connection().execute(async (session) => {
    const lock = await sql<{ held: boolean }>`
      select pg_try_advisory_lock(${LOCKS.reaper}, hashtext(${endpointId})) as held`.execute(session);
    if (lock.rows[0]?.held !== true) return 0;
    try {
      let removed = 0;
      for (const row of rows) {
        worker.heart.check();
        if (await removeEntry(worker, endpoint, row)) removed += 1;
      }
      return removed;
    } finally {
      await sql`select pg_advisory_unlock(${LOCKS.reaper}, hashtext(${endpointId}))`.execute(session);
    }
  });
}

async function removeEntry(
  worker: WorkerContext,
  endpoint: { id: string; name: string; type: string },
  row: LedgerRow,
): Promise<boolean> {
  const { db, log } = worker;
  const signal = AbortSignal.any([worker.heart.signal, AbortSignal.timeout(REMOVAL_MS)]);
  await markRemoving(db, row.id);
  try {
    const provider = await worker.providers.get(endpoint.type);
    const entry: LedgerEntry = { id: row.id, kind: row.kind as LedgerKind, name: row.name, handle: row.handle };
    await provider.remove(
      {
        endpoint: `endpoint ${endpoint.name}`,
        connectionInfo: await openConnectionInfo(db, worker.secrets, endpoint.id),
        signal,
        ledger: taskLedger(db, { projectId: row.project_id, endpointId: endpoint.id }, { log, signal }),
        workDir: await endpointWorkDir(worker, endpoint.id),
        progress: (message) => log.debug({ ledger: row.id }, message),
      },
      entry,
    );
    await markRemoved(db, row.id);
    log.info({ ledger: row.id, kind: row.kind, name: row.name }, 'removed a leftover');
    return true;
  } catch (error) {
    const reason = error instanceof GodwitError ? error.explain() : String(error);
    await markRemovalFailed(db, row.id, reason);
    log.warn({ err: error, ledger: row.id, kind: row.kind, name: row.name }, 'a leftover could not be removed yet');
    return false;
  }
}
