import { randomUUID } from 'node:crypto';
import {
  type JsonObject,
  MINION_MACHINE_TRANSITIONS,
  type MinionMachineStatus,
  type MinionPowerStatus,
  type MinionRole,
  sourcesOf,
} from '@godwit/domain';
import { sql } from 'kysely';
import type { MinionMachine, MinionPool } from './control-tables.ts';
import type { Db } from './database.ts';
import { toJson } from './tables.ts';

/** Who holds a machine, and what for. One machine for each execution, instance and role. */
export interface MinionLease {
  executionId: string;
  instance: string;
  role: MinionRole;
  /** Transfer or deployment of the execution. */
  actionId: string;
}

/** Enters a machine that is still to be made: UNINITIALIZED, of nobody or of the one that it is made for. */
export async function insertMachine(
  db: Db,
  pool: Pick<MinionPool, 'id' | 'project_id' | 'user_id'>,
  lease?: MinionLease,
): Promise<MinionMachine> {
  return db
    .insertInto('minion_machine')
    .values({
      id: randomUUID(),
      pool_id: pool.id,
      project_id: pool.project_id,
      user_id: pool.user_id,
      ...(lease !== undefined && { ...columnsOf(lease), lease_no: 1 }),
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Living machines of a pool in the order of their making, locked until the end of the transaction. */
export async function lockMachines(db: Db, poolId: string): Promise<MinionMachine[]> {
  return db
    .selectFrom('minion_machine')
    .selectAll()
    .where('pool_id', '=', poolId)
    .where('deleted_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .forUpdate()
    .execute();
}

/**
 * Gives a free machine to an execution: one update, which two can not win.
 *
 * @returns false when it is not free any more
 */
export async function leaseMachine(db: Db, id: string, lease: MinionLease): Promise<boolean> {
  const result = await db
    .updateTable('minion_machine')
    .set((eb) => ({
      ...columnsOf(lease),
      lease_no: eb('lease_no', '+', 1),
      allocation_status: 'RESERVED',
      updated_at: sql<Date>`now()`,
    }))
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .where('execution_id', 'is', null)
    .where('allocation_status', '=', 'AVAILABLE')
    .executeTakeFirst();
  return result.numUpdatedRows === 1n;
}

/** The machine that an execution holds for an instance, or undefined. */
export async function leasedMachine(
  db: Db,
  executionId: string,
  instance: string,
  role: MinionRole,
): Promise<MinionMachine | undefined> {
  return db
    .selectFrom('minion_machine')
    .selectAll()
    .where('execution_id', '=', executionId)
    .where('instance', '=', instance)
    .where('role', '=', role)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
}

export interface MachineChange {
  allocation_status: MinionMachineStatus;
  power_status?: MinionPowerStatus;
  connection_info?: JsonObject | null;
  provider_properties?: JsonObject | null;
  /** Stamps last_used_at. */
  used?: boolean;
}

/**
 * Changes a machine's status as its state table allows, for the one who holds it: an execution, or (null) the pool's own
 * work. Undefined when somebody else holds it by now, it is gone, or its status does not lead there.
 */
export async function changeMachine(
  db: Db,
  id: string,
  holder: string | null,
  change: MachineChange,
): Promise<MinionMachine | undefined> {
  const { connection_info, provider_properties, used, ...columns } = change;
  return db
    .updateTable('minion_machine')
    .set({
      ...columns,
      updated_at: sql<Date>`now()`,
      ...(connection_info !== undefined && { connection_info: jsonOrNull(connection_info) }),
      ...(provider_properties !== undefined && { provider_properties: jsonOrNull(provider_properties) }),
      ...(used === true && { last_used_at: sql<Date>`clock_timestamp()` }),
    })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .where('execution_id', 'is not distinct from', holder)
    .where('allocation_status', 'in', sourcesOf(MINION_MACHINE_TRANSITIONS, change.allocation_status))
    .returningAll()
    .executeTakeFirst();
}

/**
 * The machine is gone at its platform. With `successor` another one, still to be made, takes its place and its lease.
 *
 * @returns the successor; undefined without one, or when somebody else holds the machine by now
 */
export async function endMachine(
  db: Db,
  machine: Pick<MinionMachine, 'id' | 'pool_id' | 'project_id' | 'user_id'>,
  holder: string | null,
  successor: boolean,
): Promise<MinionMachine | undefined> {
  const gone = await db
    .updateTable('minion_machine')
    .set({ deleted_at: sql<Date>`now()`, updated_at: sql<Date>`now()` })
    .where('id', '=', machine.id)
    .where('deleted_at', 'is', null)
    .where('execution_id', 'is not distinct from', holder)
    .where('allocation_status', '=', 'DEALLOCATING')
    .returningAll()
    .executeTakeFirst();
  if (gone === undefined || !successor) return undefined;
  const { allocated_action: actionId, execution_id: executionId, instance, role } = gone;
  const lease =
    executionId !== null && instance !== null && role !== null && actionId !== null
      ? { executionId, instance, role, actionId }
      : undefined;
  return insertMachine(db, { ...machine, id: machine.pool_id }, lease);
}

/**
 * Ends leases. A machine that was never touched, or that its user proved to be sound and empty (`clean`), is free at once;
 * one that was just entered is gone; any other is broken until the pool's upkeep has looked at it.
 *
 * @returns the pools whose machines came back
 */
export async function endLeases(
  db: Db,
  lease: { executionId: string; instance?: string; role?: MinionRole },
  clean = false,
): Promise<string[]> {
  const { executionId, instance, role } = lease;
  const after = sql<MinionMachineStatus>`case
    when allocation_status in ('UNINITIALIZED', 'DEALLOCATING') then 'DEALLOCATING'
    when allocation_status = 'ALLOCATING' then 'ERROR_DEPLOYING'
    when allocation_status = 'RESERVED' or (${clean}::boolean and allocation_status in ('IN_USE', 'HEALTHCHECKING'))
      then 'AVAILABLE'
    else 'ERROR' end`;
  const rows = await db
    .updateTable('minion_machine')
    .set({
      allocation_status: after,
      deleted_at: sql<Date | null>`case when allocation_status = 'UNINITIALIZED' then now() end`,
      last_used_at: sql<Date | null>`case when allocation_status in ('RESERVED', 'UNINITIALIZED')
        then last_used_at else clock_timestamp() end`,
      allocated_action: null,
      execution_id: null,
      instance: null,
      role: null,
      updated_at: sql<Date>`now()`,
    })
    .where('execution_id', '=', executionId)
    .where('deleted_at', 'is', null)
    .$if(instance !== undefined, (q) => q.where('instance', '=', instance!))
    .$if(role !== undefined, (q) => q.where('role', '=', role!))
    .returning(['pool_id', 'allocation_status'])
    .execute();
  const pools = [...new Set(rows.map((row) => row.pool_id))];
  if (rows.some((row) => row.allocation_status !== 'AVAILABLE')) {
    await db
      .updateTable('minion_pool')
      .set({ upkeep_at: sql<Date>`least(upkeep_at, clock_timestamp())` })
      .where('id', 'in', pools)
      .where('upkeep_at', 'is not', null)
      .execute();
  }
  return pools;
}

/** Takes all machines of a pool from whoever holds them: they will be removed. */
export async function seizeMachines(db: Db, poolId: string): Promise<void> {
  await db
    .updateTable('minion_machine')
    .set({
      allocation_status: 'DEALLOCATING',
      allocated_action: null,
      execution_id: null,
      instance: null,
      role: null,
      updated_at: sql<Date>`now()`,
    })
    .where('pool_id', '=', poolId)
    .where('deleted_at', 'is', null)
    .execute();
}

/**
 * Executions that ended, or vanished, `graceMs` ago and still hold machines: they were ended by force, and by now whoever
 * worked for them has stopped.
 */
export async function staleLeases(db: Db, graceMs: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select distinct execution_id as id from minion_machine machine
    where execution_id is not null and deleted_at is null and not exists (
      select from execution where execution.id = machine.execution_id and (execution.finished_at is null
        or execution.finished_at > clock_timestamp() - ${graceMs}::float8 * interval '1 ms'))`.execute(db);
  return rows.map(({ id }) => id);
}

const columnsOf = (lease: MinionLease) => ({
  execution_id: lease.executionId,
  instance: lease.instance,
  role: lease.role,
  allocated_action: lease.actionId,
});

const jsonOrNull = (value: JsonObject | null): string | null => (value === null ? null : toJson(value));
