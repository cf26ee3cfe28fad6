import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Schedule, ScheduleRule } from './control-tables.ts';
import type { Db } from './database.ts';
import { toJson } from './tables.ts';

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

export async function insertSchedule(db: Db, schedule: NewSchedule): Promise<Schedule> {
  return db
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
