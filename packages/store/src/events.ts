import type { JsonObject } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { type StoredEvent, toJson } from './tables.ts';
import type { Scope } from './transfers.ts';

/** Channel on which every event is announced when its transaction commits; the payload is its id. */
export const EVENT_CHANNEL = 'godwit_event';

export interface NewEvent {
  /** Null: for every project. */
  projectId: string | null;
  /** `transfer.updated`, `execution.updated`, `task.updated`, `progress`, ... */
  type: string;
  objectType: string;
  objectId: string;
  payload?: JsonObject;
}

/** Writes an event and announces it with the commit of the transaction. Returns its id. */
export async function appendEvent(db: Db, event: NewEvent): Promise<number> {
  const { rows } = await sql<{ id: number }>`
    with added as (
      insert into event (project_id, type, object_type, object_id, payload)
      values (${event.projectId}, ${event.type}, ${event.objectType}, ${event.objectId}, ${toJson(event.payload ?? {})})
      returning id)
    select id, pg_notify(${EVENT_CHANNEL}, id::text) from added`.execute(db);
  return rows[0]!.id;
}

/**
 * Events after `afterId` in order, at most `limit` (default 500). Never skips one: events are held back while a
 * transaction that began to write earlier is still under way, so an announced event may show up a few milliseconds late.
 */
export async function readEvents(db: Db, scope: Scope, afterId: number, limit = 500): Promise<StoredEvent[]> {
  return db
    .selectFrom('event')
    .selectAll()
    .where('id', '>', afterId)
    .where(sql<boolean>`xid < pg_snapshot_xmin(pg_current_snapshot())`)
    .$if(scope !== undefined, (q) =>
      q.where((eb) => eb.or([eb('project_id', '=', scope!), eb('project_id', 'is', null)])),
    )
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** Id of the newest event that readers can see; 0 when there is none. */
export async function lastEventId(db: Db): Promise<number> {
  const row = await db
    .selectFrom('event')
    .select((eb) => eb.fn.max('id').as('id'))
    .where(sql<boolean>`xid < pg_snapshot_xmin(pg_current_snapshot())`)
    .executeTakeFirst();
  return row?.id ?? 0;
}

/** Removes events older than `before`; returns how many. */
export async function purgeEvents(db: Db, before: Date): Promise<number> {
  const result = await db.deleteFrom('event').where('at', '<', before).executeTakeFirst();
  return Number(result.numDeletedRows);
}
