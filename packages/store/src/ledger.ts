import { randomUUID } from 'node:crypto';
import type { JsonObject, LedgerKeep, LedgerState } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { ofProject, type Page, readPage } from './listing.ts';
import { type LedgerRow, toJson } from './tables.ts';
import type { Scope } from './transfers.ts';

/** On whose behalf something is made. */
export interface LedgerOwner {
  projectId: string;
  endpointId: string;
  transferId?: string | null;
  deploymentId?: string | null;
  executionId?: string | null;
  taskId?: string | null;
  poolId?: string | null;
  /** Machine of the pool; absent: what all of it share. */
  machineId?: string | null;
}

/**
 * Announces a creation. The same endpoint, kind and name again gives the same living entry (with the new handle and
 * owner, back in `intended` unless it was made): it is kept for as long as the new owner needs it, not the former.
 */
export async function intendLedger(
  db: Db,
  owner: LedgerOwner,
  entry: { kind: string; name: string; handle: JsonObject; keep?: LedgerKeep },
): Promise<LedgerRow> {
  return db
    .insertInto('ledger')
    .values({
      id: randomUUID(),
      project_id: owner.projectId,
      endpoint_id: owner.endpointId,
      transfer_id: owner.transferId ?? null,
      deployment_id: owner.deploymentId ?? null,
      execution_id: owner.executionId ?? null,
      task_id: owner.taskId ?? null,
      pool_id: owner.poolId ?? null,
      machine_id: owner.machineId ?? null,
      kind: entry.kind,
      name: entry.name,
      handle: toJson(entry.handle),
      keep: entry.keep ?? 'execution',
    })
    .onConflict((oc) =>
      oc
        .columns(['endpoint_id', 'kind', 'name'])
        // Not a parameter: a plan made once for all values could not tell that the partial index is meant.
        .where('state', '<>', sql.lit('removed'))
        .doUpdateSet((eb) => ({
          // A made entry knows more than the announcement: creation may have told it ids.
          handle: sql<string>`case when ledger.state = 'made' then ledger.handle else excluded.handle end`,
          state: sql<LedgerState>`case when ledger.state = 'made' then 'made' else 'intended' end`,
          keep: eb.ref('excluded.keep'),
          project_id: eb.ref('excluded.project_id'),
          transfer_id: eb.ref('excluded.transfer_id'),
          deployment_id: eb.ref('excluded.deployment_id'),
          execution_id: eb.ref('excluded.execution_id'),
          task_id: eb.ref('excluded.task_id'),
          pool_id: eb.ref('excluded.pool_id'),
          machine_id: eb.ref('excluded.machine_id'),
          updated_at: sql<Date>`now()`,
        })),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

/**
 * Confirms a creation, with what only creation could tell. An entry that was removed meanwhile (its execution was ended by
 * force, and the reaper was faster than the platform) lives again, so that the thing is found and removed after all;
 * unless a newer entry has the name by now.
 */
export async function markMade(db: Db, id: string, handle?: JsonObject): Promise<void> {
  await db
    .updateTable('ledger')
    .set({
      state: 'made',
      updated_at: sql<Date>`now()`,
      deleted_at: null,
      ...(handle !== undefined && { handle: toJson(handle) }),
    })
    .where('id', '=', id)
    .where((eb) =>
      eb.or([
        eb('state', '<>', 'removed'),
        eb.not(
          eb.exists(
            eb
              .selectFrom('ledger as newer')
              .select('newer.id')
              .whereRef('newer.endpoint_id', '=', 'ledger.endpoint_id')
              .whereRef('newer.kind', '=', 'ledger.kind')
              .whereRef('newer.name', '=', 'ledger.name')
              .where('newer.state', '<>', 'removed'),
          ),
        ),
      ]),
    )
    .execute();
}

/** Counts a try to remove it; false when it is gone, or another execution has announced the same thing since `row` was read. */
export async function markRemoving(
  db: Db,
  row: Pick<LedgerRow, 'id' | 'execution_id' | 'deployment_id'>,
): Promise<boolean> {
  const result = await db
    .updateTable('ledger')
    .set((eb) => ({ state: 'removing', attempts: eb('attempts', '+', 1), updated_at: sql<Date>`now()` }))
    .where('id', '=', row.id)
    .where('state', '<>', 'removed')
    .where('execution_id', 'is not distinct from', row.execution_id)
    .where('deployment_id', 'is not distinct from', row.deployment_id)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** The removal failed; the reaper tries again. */
export async function markRemovalFailed(db: Db, id: string, reason: string): Promise<void> {
  await db
    .updateTable('ledger')
    .set({ last_error: reason, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .execute();
}

/**
 * The reaper's removal is through: the entry is gone, unless somebody announced the same thing anew meanwhile. Of a thing
 * that was only ever intended it is not known whether it is still about to appear (a command goes on at the platform when
 * the one who sent it dies): until `settleMs` after its announcement it goes back, to be looked for again.
 *
 * @param row as it was before {@link markRemoving}
 * @returns true when it is gone for good
 */
export async function markReaped(db: Db, row: Pick<LedgerRow, 'id' | 'state'>, settleMs: number): Promise<boolean> {
  const again = sql<boolean>`(${row.state !== 'made'}::boolean
    and created_at > clock_timestamp() - ${settleMs}::float8 * interval '1 ms')`;
  const reaped = await db
    .updateTable('ledger')
    .set({
      state: sql<LedgerState>`case when ${again} then 'intended' else 'removed' end`,
      deleted_at: sql<Date | null>`case when ${again} then null else now() end`,
      last_error: null,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', row.id)
    .where('state', '=', 'removing')
    .returning('state')
    .executeTakeFirst();
  return reaped?.state === 'removed';
}

/** It is gone. */
export async function markRemoved(db: Db, id: string): Promise<void> {
  await db
    .updateTable('ledger')
    .set({ state: 'removed', last_error: null, deleted_at: sql<Date>`now()`, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('state', '<>', 'removed')
    .execute();
}

/** The living entry of that name, or undefined. */
export async function findLedger(
  db: Db,
  endpointId: string,
  kind: string,
  name: string,
): Promise<LedgerRow | undefined> {
  return db
    .selectFrom('ledger')
    .selectAll()
    .where('endpoint_id', '=', endpointId)
    .where('kind', '=', kind)
    .where('name', '=', name)
    .where('state', '<>', 'removed')
    .executeTakeFirst();
}

export interface LedgerQuery extends Page {
  endpointId?: string;
  transferId?: string;
  deploymentId?: string;
  executionId?: string;
  keep?: LedgerKeep;
  state?: LedgerState;
  /** Also what is gone. Default false. */
  showRemoved?: boolean;
}

export async function listLedger(db: Db, scope: Scope, query: LedgerQuery = {}): Promise<LedgerRow[]> {
  const sort = { kind: 'plain', name: 'plain', state: 'plain', keep: 'plain', updated_at: 'time' } as const;
  return readPage(db, 'ledger', sort, query, ofProject(scope), (after, order) =>
    db
      .selectFrom('ledger')
      .selectAll()
      .where(after)
      .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
      .$if(query.endpointId !== undefined, (q) => q.where('endpoint_id', '=', query.endpointId!))
      .$if(query.transferId !== undefined, (q) => q.where('transfer_id', '=', query.transferId!))
      .$if(query.deploymentId !== undefined, (q) => q.where('deployment_id', '=', query.deploymentId!))
      .$if(query.executionId !== undefined, (q) => q.where('execution_id', '=', query.executionId!))
      .$if(query.keep !== undefined, (q) => q.where('keep', '=', query.keep!))
      .$if(query.state !== undefined, (q) => q.where('state', '=', query.state!))
      .$if(query.showRemoved !== true && query.state === undefined, (q) => q.where('state', '<>', 'removed'))
      .orderBy(order)
      .$if(query.limit !== undefined, (q) => q.limit(query.limit!))
      .execute(),
  );
}

/**
 * What nobody needs any more and the reaper may remove, newest first (undo in reverse): entries kept for an execution
 * that has ended or vanished, for a deleted transfer, for a deleted or failed deployment, for a machine or a pool that is
 * gone. An entry that could not be
 * removed is left out for 1 s, doubled by each try up to 5 min: a platform that is away must not hide the others.
 */
export async function reapableLedger(db: Db, limit = 100): Promise<LedgerRow[]> {
  return db
    .selectFrom('ledger')
    .selectAll('ledger')
    .where('ledger.state', '<>', 'removed')
    .where(
      sql<boolean>`(ledger.attempts = 0 or ledger.updated_at is null or ledger.updated_at
        <= clock_timestamp() - least(power(2, least(ledger.attempts - 1, 20)), 300) * interval '1 s')`,
    )
    .where((eb) =>
      eb.or([
        eb.and([
          eb('ledger.keep', '=', 'execution'),
          eb('ledger.execution_id', 'is not', null),
          eb.not(
            eb.exists(
              eb
                .selectFrom('execution')
                .select('execution.id')
                .whereRef('execution.id', '=', 'ledger.execution_id')
                .where('execution.finished_at', 'is', null),
            ),
          ),
        ]),
        eb.and([
          eb('ledger.keep', '=', 'transfer'),
          eb.exists(
            eb
              .selectFrom('transfer')
              .select('transfer.id')
              .whereRef('transfer.id', '=', 'ledger.transfer_id')
              .where('transfer.deleted_at', 'is not', null),
          ),
        ]),
        eb.and([
          eb('ledger.keep', '=', 'deployment'),
          eb.exists(
            eb
              .selectFrom('deployment')
              .select('deployment.id')
              .whereRef('deployment.id', '=', 'ledger.deployment_id')
              .where((d) =>
                d.or([
                  d('deployment.deleted_at', 'is not', null),
                  d('deployment.last_execution_status', 'in', ['ERROR', 'CANCELED', 'DEADLOCKED']),
                ]),
              ),
          ),
        ]),
        eb.and([
          eb('ledger.keep', '=', 'pool'),
          sql<boolean>`case when ledger.machine_id is null
            then not exists (select from minion_pool pool where pool.id = ledger.pool_id
              and pool.deleted_at is null and pool.status <> 'DEALLOCATED')
            else not exists (select from minion_machine machine join minion_pool pool on pool.id = machine.pool_id
              where machine.id = ledger.machine_id and machine.deleted_at is null and pool.deleted_at is null) end`,
        ]),
      ]),
    )
    .orderBy('ledger.created_at', 'desc')
    .orderBy('ledger.id', 'desc')
    .limit(limit)
    .execute();
}
