import { randomUUID } from 'node:crypto';
import { ACTIVE_EXECUTION_STATUSES, GodwitError, RUNNING_TASK_STATUSES } from '@godwit/domain';
import { sql } from 'kysely';
import { appendAudit } from './audit.ts';
import type { BackupHeader } from './backup-file.ts';
import type { Db } from './database.ts';
import { setExecutionStatus } from './executions.ts';
import { type LedgerRow, toJson } from './tables.ts';

/** What a restore had to give up, for the person who did it. */
export interface Aftermath {
  /** Executions that were under way and have ended with DATABASE_RESTORED. */
  executions: { id: string; action: string }[];
  /** Replica disks that were forgotten: the next execution copies everything. */
  disks: { transfer: string; instance: string; disk: string; target: string }[];
  /** What the ledger lists as there; nothing of it is removed by itself any more. */
  kept: Pick<LedgerRow, 'endpoint_id' | 'kind' | 'name' | 'state'>[];
  /** Endpoints on which things may lie that were made after the backup, which nobody knows: id and name. */
  endpoints: { id: string; name: string }[];
}

/** More than any worker can have raised a fence since the backup. */
const FENCES = 1_000_000;

/**
 * What was true at the moment of the backup need not be true now. Between the two, executions went on: disks were written
 * beyond what the leaf tables say, handed over to the people who use them, removed; things were made that the ledger has
 * never heard of. So of all that lies on platforms nothing is written to, and nothing removed, on the word of a backup:
 *
 * - executions under way end, and every fence rises beyond what a worker of before may hold
 * - replica disks are forgotten with their leaves, as when they were handed over: the next execution copies everything, to what
 *   it finds to be still its own, else to new ones
 * - what the ledger lists is kept for ever, and listed
 * - machines of minion pools are given back; pools, of as it is those that were being changed, are put to ERROR
 *
 * @param asIs nothing has run since the backup: only executions are ended and fences raised
 */
export async function disownPast(db: Db, header: BackupHeader, asIs: boolean): Promise<Aftermath> {
  return db.transaction().execute(async (trx) => {
    const executions = await endExecutions(trx, header);
    await sql`update service set heartbeat_at = 'epoch'`.execute(trx);
    await sql`update replica_disk set fence = fence + ${FENCES}`.execute(trx);
    const disks = asIs ? [] : await forgetDisks(trx);
    const kept = asIs ? [] : await keepForEver(trx);
    await endPools(trx, asIs);
    const endpoints = asIs
      ? []
      : await trx
          .selectFrom('endpoint')
          .select(['id', 'name'])
          .where('deleted_at', 'is', null)
          .orderBy('name')
          .execute();
    await appendAudit(trx, [
      {
        request_id: `req-${randomUUID()}`,
        user_id: null,
        user_name: null,
        project_id: null,
        address: '',
        action: 'database:restore',
        object: `set back to the backup of ${header.taken_at}${asIs ? ', as it is' : ''}`,
        status: 200,
      },
    ]);
    return { executions, disks, kept, endpoints };
  });
}

async function endExecutions(trx: Db, header: BackupHeader): Promise<Aftermath['executions']> {
  const active = await trx
    .selectFrom('execution')
    .select(['id', 'action_id', 'action_type'])
    .where('status', 'in', [...ACTIVE_EXECUTION_STATUSES])
    .execute();
  for (const { action_id: action, action_type: type, id } of active) {
    const error = new GodwitError('DATABASE_RESTORED', `${type} ${action}`, { taken_at: header.taken_at });
    await trx
      .updateTable('task')
      .set((eb) => ({
        status: sql`case when status in (${sql.join([...RUNNING_TASK_STATUSES])}) then 'ERROR' else 'CANCELED' end`,
        exception_details: error.explain(),
        error: toJson(error.toData()),
        attempt: eb('attempt', '+', FENCES),
        finished_at: sql<Date>`now()`,
        updated_at: sql<Date>`now()`,
      }))
      .where('execution_id', '=', id)
      .where('finished_at', 'is', null)
      .where('status', '<>', 'EXECUTE_ON_ERROR_ONLY')
      .execute();
    await trx
      .updateTable('execution')
      .set((eb) => ({ walk_no: eb('walk_no', '+', FENCES) }))
      .where('id', '=', id)
      .execute();
    await setExecutionStatus(trx, id, 'ERROR');
  }
  // Those that waited for an execution, or were about to get one.
  await sql`update deployment set last_execution_status = 'ERROR', updated_at = now()
    where deleted_at is null and last_execution_status in ('PENDING', 'UNEXECUTED')`.execute(trx);
  return active.map(({ action_id: action, id }) => ({ id, action }));
}

async function forgetDisks(trx: Db): Promise<Aftermath['disks']> {
  const gone = await trx
    .deleteFrom('replica_disk')
    .returning(['transfer_id', 'instance', 'disk_id', 'target'])
    .execute();
  return gone.map((row) => ({
    transfer: row.transfer_id,
    instance: row.instance,
    disk: row.disk_id,
    target: JSON.stringify(row.target),
  }));
}

async function keepForEver(trx: Db): Promise<Aftermath['kept']> {
  return trx
    .updateTable('ledger')
    .set({ keep: 'forever', last_error: null, updated_at: sql<Date>`now()` })
    .where('state', '<>', 'removed')
    .returning(['endpoint_id', 'kind', 'name', 'state'])
    .execute();
}

/** Machines that were lent to executions are nobody's; what was being done to a pool has ended. */
async function endPools(trx: Db, asIs: boolean): Promise<void> {
  await sql`update minion_machine set execution_id = null, instance = null, role = null, allocated_action = null,
      lease_no = lease_no + ${FENCES}, updated_at = now(),
      allocation_status = case when ${!asIs} or execution_id is not null then 'ERROR' else allocation_status end
    where deleted_at is null`.execute(trx);
  await sql`update minion_pool set status = case when ${!asIs} or operation is not null then 'ERROR' else status end,
      operation = null, operation_no = operation_no + ${FENCES}, walk_no = walk_no + ${FENCES}, updated_at = now()
    where deleted_at is null and status <> 'DEALLOCATED'`.execute(trx);
}
