import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain';
import { sql } from 'kysely';
import type { Schedule, ScheduleRule, ScheduleTick } from './control-tables.ts';
import type { Db } from './database.ts';
import { toJson } from './tables.ts';
import { inTransaction } from './transaction.ts';

export interface NewSchedule {
  transferId: string;
  projectId: string;
  userId: string;
  schedule: ScheduleRule;
  enabled: boolean;
  expirationDate: Date | null;
  shutdownInstance: boolean;
  autoDeploy: boolean;
}

/** @throws GodwitError NOT_FOUND when its transfer was deleted in the meantime */
export async function insertSchedule(db: Db, schedule: NewSchedule): Promise<Schedule> {
  return inTransaction(db, async (trx) => {
    const transfer = await trx
      .selectFrom('transfer')
      .select('id')
      .where('id', '=', schedule.transferId)
      .where('deleted_at', 'is', null)
      .forShare()
      .executeTakeFirst();
    if (transfer === undefined) throw new GodwitError('NOT_FOUND', `Transfer with ID '${schedule.transferId}'`);
    return trx
      .insertInto('schedule')
      .values({
        id: randomUUID(),
        transfer_id: schedule.transferId,
        project_id: schedule.projectId,
        user_id: schedule.userId,
        schedule: toJson(schedule.schedule),
        enabled: schedule.enabled,
        expiration_date: schedule.expirationDate,
        shutdown_instance: schedule.shutdownInstance,
        auto_deploy: schedule.autoDeploy,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  });
}

/** Living schedules of a transfer, oldest first; `expired` false leaves out those past their expiry. */
export async function listSchedules(db: Db, transferId: string, expired = true): Promise<Schedule[]> {
  return db
    .selectFrom('schedule')
    .selectAll()
    .where('transfer_id', '=', transferId)
    .where('deleted_at', 'is', null)
    .$if(!expired, (q) =>
      q.where((eb) =>
        eb.or([eb('expiration_date', 'is', null), eb('expiration_date', '>', sql<Date>`clock_timestamp()`)]),
      ),
    )
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

export async function getSchedule(db: Db, transferId: string, id: string): Promise<Schedule | undefined> {
  return db
    .selectFrom('schedule')
    .selectAll()
    .where('id', '=', id)
    .where('transfer_id', '=', transferId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
}

export interface ScheduleChange {
  schedule?: ScheduleRule;
  enabled?: boolean;
  expiration_date?: Date | null;
  shutdown_instance?: boolean;
  auto_deploy?: boolean;
}

/** A change starts the judging of minutes anew: what was missed before it is not made up for. */
export async function updateSchedule(db: Db, id: string, change: ScheduleChange): Promise<Schedule | undefined> {
  const { schedule, ...columns } = change;
  return db
    .updateTable('schedule')
    .set({
      ...columns,
      ...(schedule !== undefined && { schedule: toJson(schedule) }),
      checked_at: sql<Date>`clock_timestamp()`,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/** Marks it deleted; false when it was already or never was. */
export async function deleteSchedule(db: Db, id: string): Promise<boolean> {
  const result = await db
    .updateTable('schedule')
    .set({ deleted_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Ids of living, enabled schedules of living transfers with minutes that nobody has judged yet, longest unjudged first. */
export async function unjudgedSchedules(db: Db, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('schedule')
    .innerJoin('transfer', 'transfer.id', 'schedule.transfer_id')
    .select('schedule.id')
    .where('schedule.deleted_at', 'is', null)
    .where('transfer.deleted_at', 'is', null)
    .where('schedule.enabled', '=', true)
    .where('schedule.checked_at', '<', sql<Date>`date_trunc('minute', clock_timestamp())`)
    .where((eb) =>
      eb.or([
        eb('schedule.expiration_date', 'is', null),
        eb('schedule.expiration_date', '>', eb.ref('schedule.checked_at')),
      ]),
    )
    .orderBy('schedule.checked_at')
    .limit(limit)
    .execute();
  return rows.map((row) => row.id);
}

/**
 * Locks a schedule for judging, with the time by the database's clock; undefined when somebody else has it, or it has nothing
 * to judge any more.
 */
export async function lockSchedule(trx: Db, id: string): Promise<(Schedule & { now: Date }) | undefined> {
  return trx
    .selectFrom('schedule')
    .selectAll()
    .select(sql<Date>`clock_timestamp()`.as('now'))
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .where('enabled', '=', true)
    .where('checked_at', '<', sql<Date>`date_trunc('minute', clock_timestamp())`)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
}

/** Every minute up to `now` is judged. */
export async function markJudged(trx: Db, id: string, now: Date): Promise<void> {
  await trx
    .updateTable('schedule')
    .set({ checked_at: sql<Date>`date_trunc('minute', ${now}::timestamptz)` })
    .where('id', '=', id)
    .execute();
}

export interface NewTick {
  scheduleId: string;
  dueAt: Date;
  outcome: ScheduleTick['outcome'];
  executionId?: string;
  reason?: string;
}

/** Takes a tick; false when it was taken before. */
export async function takeTick(trx: Db, tick: NewTick): Promise<boolean> {
  const result = await trx
    .insertInto('schedule_tick')
    .values({
      schedule_id: tick.scheduleId,
      due_at: tick.dueAt,
      outcome: tick.outcome,
      execution_id: tick.executionId ?? null,
      reason: tick.reason ?? null,
    })
    .onConflict((oc) => oc.columns(['schedule_id', 'due_at']).doNothing())
    .executeTakeFirst();
  return (result.numInsertedOrUpdatedRows ?? 0n) > 0n;
}

/** Says what became of a tick that was taken. */
export async function settleTick(trx: Db, tick: NewTick): Promise<void> {
  await trx
    .updateTable('schedule_tick')
    .set({ outcome: tick.outcome, execution_id: tick.executionId ?? null, reason: tick.reason ?? null })
    .where('schedule_id', '=', tick.scheduleId)
    .where('due_at', '=', tick.dueAt)
    .execute();
}

/** What became of the ticks of a schedule, newest first. */
export async function listTicks(db: Db, scheduleId: string, limit = 100): Promise<ScheduleTick[]> {
  return db
    .selectFrom('schedule_tick')
    .selectAll()
    .where('schedule_id', '=', scheduleId)
    .orderBy('due_at', 'desc')
    .limit(limit)
    .execute();
}
