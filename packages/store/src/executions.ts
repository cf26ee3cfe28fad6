import { randomUUID } from 'node:crypto';
import {
  ACTIVE_EXECUTION_STATUSES,
  type CancelMode,
  type ExecutionStatus,
  type ExecutionType,
  FINAL_EXECUTION_STATUSES,
  GodwitError,
} from '@godwit/domain';
import { type RawBuilder, type SqlBool, sql } from 'kysely';
import { type Db, isUniqueViolation } from './database.ts';
import { limitSql, type Page, pageSql, readPage, type SortColumns, type Within } from './listing.ts';
import { readVersion, rowVersion, versionText } from './row-version.ts';
import { type Execution, type ExecutionOptions, toJson } from './tables.ts';
import { inTransaction, together } from './transaction.ts';
import type { Scope } from './transfers.ts';

export type ActionType = 'transfer' | 'deployment';

export interface NewExecution {
  id?: string;
  actionId: string;
  actionType: ActionType;
  type: ExecutionType;
  /** Default RUNNING. */
  status?: ExecutionStatus;
  options?: ExecutionOptions;
}

const SORT: SortColumns = {
  number: 'plain',
  type: 'plain',
  status: 'plain',
  action_id: 'plain',
  updated_at: 'time',
  deleted_at: 'time',
  started_at: 'time',
  finished_at: 'time',
};

/**
 * Creates the next execution of an action: takes the next number, and refuses while another one is active. The action's
 * row stays locked until the end of the transaction, so two callers cannot both pass.
 *
 * @throws GodwitError NOT_FOUND; BAD_REQUEST `Another tasks execution is in progress: ['<id>']`
 */
export async function insertExecution(db: Db, execution: NewExecution): Promise<Execution> {
  return inTransaction(db, async (trx) => {
    const status = execution.status ?? 'RUNNING';
    const action = await trx
      .updateTable(execution.actionType)
      .set((eb) => ({
        last_execution_number: eb('last_execution_number', '+', 1),
        last_execution_status: status,
        updated_at: sql<Date>`now()`,
      }))
      .where('id', '=', execution.actionId)
      .where('deleted_at', 'is', null)
      .returning('last_execution_number as number')
      .executeTakeFirst();
    if (action === undefined) {
      const noun = execution.actionType === 'transfer' ? 'Transfer' : 'Deployment';
      throw new GodwitError('NOT_FOUND', `${noun} with ID '${execution.actionId}'`);
    }
    const active = await activeExecutions(trx, execution.actionId);
    if (active.length > 0) throw anotherIsActive(active);
    return trx.insertInto('execution').values(rowOf(execution, action.number)).returningAll().executeTakeFirstOrThrow();
  });
}

/**
 * Creates the next execution of an action whose row this transaction holds locked, with two statements at once. The caller has
 * seen by `last_execution_status` of that row that none is active: an execution begins and ends with the row.
 *
 * @throws GodwitError BAD_REQUEST when one was active all the same. Its name cannot be asked in this transaction, which the
 *   index has ended: `nameActiveExecution` does so afterwards
 */
export async function insertNextExecution(
  trx: Db,
  action: { last_execution_number: number },
  execution: NewExecution,
): Promise<Execution> {
  const status = execution.status ?? 'RUNNING';
  const number = action.last_execution_number + 1;
  const [, row] = await together([
    trx
      .updateTable(execution.actionType)
      .set({ last_execution_number: number, last_execution_status: status, updated_at: sql<Date>`now()` })
      .where('id', '=', execution.actionId)
      .execute(),
    trx.insertInto('execution').values(rowOf(execution, number)).returningAll().executeTakeFirstOrThrow(),
  ]).catch((error: unknown) => {
    if (!isUniqueViolation(error, 'execution_one_active')) throw error;
    throw new UnnamedActiveExecution(execution.actionId, error);
  });
  return row;
}

/** Refusal by the index alone: it tells of which action an execution is active, not which. */
class UnnamedActiveExecution extends GodwitError {
  readonly actionId: string;

  constructor(actionId: string, cause: unknown) {
    super('BAD_REQUEST', 'execution', { reason: 'Another tasks execution is in progress' }, { cause });
    this.actionId = actionId;
  }
}

/**
 * The error; when the index alone refused an execution, one that names which is active.
 *
 * @param db outside the transaction that was refused, or in it after the way back to a savepoint
 */
export async function nameActiveExecution<E>(db: Db, error: E): Promise<E | GodwitError> {
  if (!(error instanceof UnnamedActiveExecution)) return error;
  const active = await activeExecutions(db, error.actionId);
  // It has ended since: whoever tries again is let in.
  return active.length === 0 ? error : anotherIsActive(active, error);
}

function anotherIsActive(active: readonly Execution[], cause?: unknown): GodwitError {
  const reason = `Another tasks execution is in progress: [${active.map((row) => `'${row.id}'`).join(', ')}]`;
  return new GodwitError('BAD_REQUEST', 'execution', { reason }, { cause });
}

const rowOf = (execution: NewExecution, number: number) => ({
  id: execution.id ?? randomUUID(),
  action_id: execution.actionId,
  action_type: execution.actionType,
  number,
  type: execution.type,
  status: execution.status ?? ('RUNNING' as const),
  options: toJson(execution.options ?? {}),
});

export async function getExecution(db: Db, id: string): Promise<Execution | undefined> {
  return db.selectFrom('execution').selectAll().where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst();
}

/** The same when it is one of this living transfer, which the caller may see. */
export async function getExecutionOfTransfer(
  db: Db,
  transferId: string,
  id: string,
  scope: Scope,
): Promise<Execution | undefined> {
  return db
    .selectFrom('execution')
    .innerJoin('transfer', 'transfer.id', 'execution.action_id')
    .selectAll('execution')
    .where('execution.id', '=', id)
    .where('execution.deleted_at', 'is', null)
    .where('transfer.id', '=', transferId)
    .where('transfer.deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('transfer.project_id', '=', scope!))
    .executeTakeFirst();
}

export interface ExecutionQuery extends Page {
  status?: ExecutionStatus;
  /** None unless the action is a living transfer that the caller may see. */
  transferOf?: { scope: Scope };
}

const ofAction = (id: string): Within => ({ column: 'action_id', value: id });

export async function listExecutions(db: Db, actionId: string, query: ExecutionQuery = {}): Promise<Execution[]> {
  return readPage(db, 'execution', SORT, query, ofAction(actionId), (after, order) =>
    executionPage(db, actionId, query, after, order).selectAll().execute(),
  );
}

/**
 * Which versions of which rows an answer with these executions and what their tasks tell would be made of just now;
 * undefined when there are none.
 */
export async function executionsVersion(db: Db, actionId: string, query: ExecutionQuery): Promise<string | undefined> {
  if (query.limit === 0) return undefined;
  const { after, order } = pageSql('execution', SORT, query, ofAction(actionId));
  const page = executionPage(db, actionId, query, after ?? sql<SqlBool>`true`, order).select([
    'id',
    rowVersion('execution'),
  ]);
  return toldVersion(db, sql`${page}`);
}

/** The same of one execution of a transfer, as `getExecutionOfTransfer` finds it. */
export async function executionVersion(
  db: Db,
  transferId: string,
  id: string,
  scope: Scope,
): Promise<string | undefined> {
  const execution = db
    .selectFrom('execution')
    .select(['id', rowVersion('execution')])
    .where('id', '=', id)
    .where('action_id', '=', transferId)
    .where('deleted_at', 'is', null)
    .where((eb) => eb.exists(livingTransfer(db, transferId, scope)));
  return toldVersion(db, sql`${execution}`);
}

/** @param executions their `id` and `version` */
function toldVersion(db: Db, executions: RawBuilder<unknown>): Promise<string | undefined> {
  const said = (table: string) =>
    sql`(select string_agg(${versionText(table)}, ',') from ${sql.table(table)} where task_id = task.id)`;
  return readVersion(
    db,
    sql`with page as materialized ${executions}
      select string_agg(concat_ws(',', version, (
        select string_agg(concat_ws(',', ${versionText('task')}, ${said('task_event')}, ${said('progress_update')}), ',')
        from task where execution_id = page.id)), ',')
      from page`,
  );
}

function executionPage(
  db: Db,
  actionId: string,
  query: ExecutionQuery,
  after: RawBuilder<SqlBool>,
  order: RawBuilder<unknown>,
) {
  return db
    .selectFrom('execution')
    .where(after)
    .where('action_id', '=', actionId)
    .where('deleted_at', 'is', null)
    .$if(query.status !== undefined, (q) => q.where('status', '=', query.status!))
    .$if(query.transferOf !== undefined, (q) =>
      q.where((eb) => eb.exists(livingTransfer(db, actionId, query.transferOf?.scope))),
    )
    .orderBy(order)
    .$if(query.limit !== undefined, (q) => q.limit(limitSql(query.limit!)));
}

function livingTransfer(db: Db, id: string, scope: Scope) {
  return db
    .selectFrom('transfer')
    .select('transfer.id')
    .where('transfer.id', '=', id)
    .where('transfer.deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('transfer.project_id', '=', scope!));
}

/** The newest execution of each action, by action id. */
export async function latestExecutions(db: Db, actionIds: string[]): Promise<Map<string, Execution>> {
  if (actionIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('execution')
    .selectAll()
    .distinctOn('action_id')
    .where(sql<boolean>`action_id = any(${actionIds})`)
    .where('deleted_at', 'is', null)
    .orderBy('action_id')
    .orderBy('number', 'desc')
    .execute();
  return new Map(rows.map((row) => [row.action_id, row]));
}

/** Living executions of several actions, oldest first. */
export async function executionsOfActions(db: Db, actionIds: string[]): Promise<Map<string, Execution[]>> {
  if (actionIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('execution')
    .selectAll()
    .where(sql<boolean>`action_id = any(${actionIds})`)
    .where('deleted_at', 'is', null)
    .orderBy('action_id')
    .orderBy('number')
    .execute();
  return Map.groupBy(rows, (row) => row.action_id);
}

/** Executions under way, of one action or of all. */
export async function activeExecutions(db: Db, actionId?: string): Promise<Execution[]> {
  return db
    .selectFrom('execution')
    .selectAll()
    .where('status', 'in', [...ACTIVE_EXECUTION_STATUSES])
    .$if(actionId !== undefined, (q) => q.where('action_id', '=', actionId!))
    .orderBy('created_at')
    .execute();
}

/**
 * Sets the status of an execution that has not ended, and its action's `last_execution_status` when it is the newest one.
 * Stamps `started_at` and `finished_at`. Undefined when it has ended already or does not exist.
 */
export async function setExecutionStatus(db: Db, id: string, status: ExecutionStatus): Promise<Execution | undefined> {
  return inTransaction(db, async (trx) => {
    const final = FINAL_EXECUTION_STATUSES.includes(status);
    const row = await trx
      .updateTable('execution')
      .set({
        status,
        updated_at: sql<Date>`now()`,
        ...(status === 'RUNNING' && { started_at: sql<Date>`coalesce(started_at, now())` }),
        ...(final && { finished_at: sql<Date>`now()` }),
      })
      .where('id', '=', id)
      .where('status', 'not in', [...FINAL_EXECUTION_STATUSES])
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) return undefined;
    await trx
      .updateTable(row.action_type)
      .set({ last_execution_status: status, updated_at: sql<Date>`now()` })
      .where('id', '=', row.action_id)
      .where('last_execution_number', '=', row.number)
      .execute();
    return row;
  });
}

/** Channel on which a request to cancel is announced; the payload is the execution's id. */
export const CANCEL_CHANNEL = 'godwit_cancel';

/**
 * Notes that a running execution shall end and tells the workers when the transaction commits. A force request may follow
 * a cooperative one, never the other way.
 */
export async function requestCancel(db: Db, id: string, mode: CancelMode): Promise<Execution | undefined> {
  return inTransaction(db, async (trx) => {
    const row = await trx
      .updateTable('execution')
      .set({
        cancel_requested: sql<CancelMode>`case when cancel_requested = 'force' then 'force' else ${mode} end`,
        updated_at: sql<Date>`now()`,
      })
      .where('id', '=', id)
      .where('status', 'not in', [...FINAL_EXECUTION_STATUSES])
      .returningAll()
      .executeTakeFirst();
    if (row !== undefined) await sql`select pg_notify(${CANCEL_CHANNEL}, ${id})`.execute(trx);
    return row;
  });
}

/** Marks an ended execution deleted; false when it is active or unknown. */
export async function deleteExecution(db: Db, id: string): Promise<boolean> {
  const result = await db
    .updateTable('execution')
    .set({ deleted_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .where('status', 'not in', [...ACTIVE_EXECUTION_STATUSES])
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/**
 * Retention: removes executions for good (with tasks, events and progress) that ended before `before`. Keeps each
 * action's newest one. Returns how many went.
 */
export async function purgeExecutions(db: Db, before: Date, limit = 500): Promise<number> {
  const result = await db
    .deleteFrom('execution')
    .where('id', 'in', (qb) =>
      qb
        .selectFrom('execution as old')
        .select('old.id')
        .where('old.finished_at', '<', before)
        .where('old.status', 'in', [...FINAL_EXECUTION_STATUSES])
        .where((eb) =>
          eb.exists(
            eb
              .selectFrom('execution as newer')
              .select('newer.id')
              .whereRef('newer.action_id', '=', 'old.action_id')
              .whereRef('newer.number', '>', 'old.number'),
          ),
        )
        .orderBy('old.finished_at')
        .limit(limit),
    )
    .executeTakeFirst();
  return Number(result.numDeletedRows);
}
