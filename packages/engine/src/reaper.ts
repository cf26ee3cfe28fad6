import { GodwitError } from '@godwit/domain';
import type { LedgerEntry, LedgerKind } from '@godwit/provider';
import {
  type LedgerRow,
  mappedRegions,
  markReaped,
  markRemovalFailed,
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
/**
 * Milliseconds after its announcement during which a thing that was never confirmed may yet appear: what was asked of a
 * platform goes on there when the worker that asked dies or is told to stop.
 */
const SETTLE_MS = 30_000;

/**
 * Removes what nobody needs any more, newest first, and nothing that the ledger does not name. An entry that cannot be
 * removed keeps its reason in `last_error` and is tried again, 1 s to 5 min later. One worker at a time for each endpoint.
 * Returns how many entries went.
 */
export async function reap(worker: WorkerContext): Promise<number> {
  if (!worker.service.enabled) return 0;
  const due = await reapableLedger(worker.db);
  let removed = 0;
  for (const [endpointId, rows] of Map.groupBy(due, (row) => row.endpoint_id)) {
    removed += await reapEndpoint(worker, endpointId, rows);
  }
  return removed;
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
  // Somebody may have announced it anew since the list was read.
  if (!(await markRemoving(db, row))) return false;
  try {
    const provider = await worker.providers.get(endpoint.type);
    const ledger = taskLedger(db, { projectId: row.project_id, endpointId: endpoint.id }, { log, signal });
    const isItself = (kind: string, name: string) => kind === row.kind && name === row.name;
    const entry: LedgerEntry = { id: row.id, kind: row.kind as LedgerKind, name: row.name, handle: row.handle };
    await provider.remove(
      {
        endpoint: `endpoint ${endpoint.name}`,
        connectionInfo: await openConnectionInfo(db, worker.secrets, endpoint.id),
        signal,
        // Whether the entry itself is gone is decided below, where it is known whether somebody wants it again.
        ledger: {
          ...ledger,
          removed: async (kind, name) => {
            if (!isItself(kind, name)) await ledger.removed(kind, name);
          },
        },
        workDir: await endpointWorkDir(worker, endpoint.id),
        progress: (message) => log.debug({ ledger: row.id }, message),
      },
      entry,
    );
    const gone = await markReaped(db, row, SETTLE_MS);
    if (gone) log.info({ ledger: row.id, kind: row.kind, name: row.name }, 'removed a leftover');
    return gone;
  } catch (error) {
    const reason = error instanceof GodwitError ? error.explain() : String(error);
    await markRemovalFailed(db, row.id, reason);
    log.warn({ err: error, ledger: row.id, kind: row.kind, name: row.name }, 'a leftover could not be removed yet');
    return false;
  }
}
