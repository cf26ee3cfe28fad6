import { randomUUID } from 'node:crypto';
import type { ExecutionStatus, TransferScenario } from '@godwit/domain';
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import type { Db } from './database.ts';
import { holdEndpoints } from './endpoints.ts';
import { lifeEvents } from './events.ts';
import { limitSql, ofProject, type Page, pageSql, readPage, type SortColumns } from './listing.ts';
import { joinedVersions, readVersion, rowVersion } from './row-version.ts';
import type { NewTransfer, Transfer, TransferChange } from './tables.ts';
import { inTransaction } from './transaction.ts';

/** Whose objects a caller may see: one project's, or (`undefined`, administrators) everybody's. */
export type Scope = string | undefined;

export interface ActionQuery extends Page {
  /** Compared with `last_execution_status`. */
  status?: ExecutionStatus;
  /** Also objects that were deleted. */
  showDeleted?: boolean;
  /** Only those of this scenario. */
  scenario?: TransferScenario;
}

/** Sortable columns of transfers and deployments. */
export const ACTION_SORT: SortColumns = {
  project_id: 'plain',
  user_id: 'plain',
  origin_endpoint_id: 'plain',
  destination_endpoint_id: 'plain',
  last_execution_status: 'plain',
  origin_minion_pool_id: 'text',
  destination_minion_pool_id: 'text',
  reservation_id: 'text',
  notes: 'text',
  clone_disks: 'plain',
  skip_os_morphing: 'plain',
  clustered: 'plain',
  updated_at: 'time',
  deleted_at: 'time',
};

/** @throws GodwitError NOT_FOUND when an endpoint of it was deleted in the meantime */
export async function insertTransfer(db: Db, transfer: Omit<NewTransfer, 'id'> & { id?: string }): Promise<Transfer> {
  return inTransaction(db, async (trx) => {
    await holdEndpoints(trx, [transfer.origin_endpoint_id, transfer.destination_endpoint_id]);
    const row = await trx
      .insertInto('transfer')
      .values({ id: randomUUID(), ...transfer })
      .returningAll()
      .executeTakeFirstOrThrow();
    await sayTransfer(trx, 'created', row);
    return row;
  });
}

const sayTransfer = lifeEvents('transfer', ({ scenario, instances }: Transfer) => ({ scenario, instances }));

/** A living transfer, or undefined. */
export async function getTransfer(db: Db, id: string, scope?: Scope): Promise<Transfer | undefined> {
  return db
    .selectFrom('transfer')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .executeTakeFirst();
}

/** The same, locked until the end of the transaction: for read-decide-write. */
export async function lockTransfer(db: Db, id: string, scope?: Scope): Promise<Transfer | undefined> {
  return db
    .selectFrom('transfer')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .forUpdate()
    .executeTakeFirst();
}

/** A page of transfers, newest first unless asked otherwise. */
export async function listTransfers(db: Db, scope: Scope, query: ActionQuery = {}): Promise<Transfer[]> {
  return readPage(db, 'transfer', TRANSFER_SORT, query, ofProject(scope), (after, order) =>
    transferPage(db, scope, query, after, order).selectAll().execute(),
  );
}

/** Which versions of which rows `listTransfers` would read just now; undefined when there are none. */
export async function transfersVersion(db: Db, scope: Scope, query: ActionQuery): Promise<string | undefined> {
  if (query.limit === 0) return undefined;
  const { after, order } = pageSql('transfer', TRANSFER_SORT, query, ofProject(scope));
  const page = transferPage(db, scope, query, after ?? sql<SqlBool>`true`, order).select(rowVersion('transfer'));
  return readVersion(db, sql`select ${joinedVersions} from ${page.as('page')}`);
}

const TRANSFER_SORT: SortColumns = { ...ACTION_SORT, scenario: 'plain' };

function transferPage(
  db: Db,
  scope: Scope,
  query: ActionQuery,
  after: RawBuilder<SqlBool>,
  order: RawBuilder<unknown>,
) {
  return db
    .selectFrom('transfer')
    .where(after)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .$if(query.showDeleted !== true, (q) => q.where('deleted_at', 'is', null))
    .$if(query.status !== undefined, (q) => q.where('last_execution_status', '=', query.status!))
    .$if(query.scenario !== undefined, (q) => q.where('scenario', '=', query.scenario!))
    .orderBy(order)
    .$if(query.limit !== undefined, (q) => q.limit(limitSql(query.limit!)));
}

/** Changes columns and sets `updated_at`; undefined when there is no such living transfer. */
export async function updateTransfer(db: Db, id: string, change: TransferChange): Promise<Transfer | undefined> {
  return db
    .updateTable('transfer')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/** Marks it deleted; false when it was already or never was. */
export async function deleteTransfer(db: Db, id: string): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const row = await trx
      .updateTable('transfer')
      .set({ deleted_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .returningAll()
      .executeTakeFirst();
    if (row !== undefined) await sayTransfer(trx, 'deleted', row);
    return row !== undefined;
  });
}
