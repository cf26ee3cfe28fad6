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

/** Whose life is told. */
export interface Life {
  id: string;
  project_id: string;
}

/**
 * What tells of the objects of a noun that they were made, changed or deleted: `transfer.created`, ...
 *
 * @param payloadOf what readers want to know of one
 */
export function lifeEvents<Row extends Life>(noun: string, payloadOf: (row: Row) => JsonObject) {
  return (db: Db, what: 'created' | 'updated' | 'deleted', row: Row): Promise<number> =>
    appendEvent(db, {
      projectId: row.project_id,
      type: `${noun}.${what}`,
      objectType: noun,
      objectId: row.id,
      payload: payloadOf(row),
    });
}

/**
 * A place in the order of events. Transaction first (counted from a base that rises when the database moves to another
 * cluster), because ids are drawn before they are committed: ordered by id alone, one that commits late could turn up behind
 * a reader that has passed it.
 */
export interface EventCursor {
  xid: string;
  id: number;
}

/** Before the first event. */
export const FIRST_EVENT: EventCursor = { xid: '0', id: 0 };

/** No transaction that writes below it is under way. */
const visible = sql<boolean>`xid < (select (base + pg_snapshot_xmin(pg_current_snapshot())::text::bigint)::text::xid8 from event_origin)`;

/**
 * Beyond `after`. A place that this database has not reached yet was told by another one (it was set back to a backup, twice
 * within an hour): then all since it came here, rather to say things twice than never.
 */
const beyond = (after: EventCursor) => sql<boolean>`(xid, id) > (
  select case when known then ${after.xid}::xid8 else base::text::xid8 end, case when known then ${after.id}::bigint else 0 end
  from (
    select base, ${after.xid}::xid8 < (base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint)::text::xid8 as known
    from event_origin) as place)`;

/**
 * Events after `after` in order, at most `limit` (default 500). Never skips one: events are held back while a
 * transaction that began to write earlier is still under way, so an announced event may show up a few milliseconds late.
 */
export async function readEvents(db: Db, scope: Scope, after: EventCursor, limit = 500): Promise<StoredEvent[]> {
  return db
    .selectFrom('event')
    .selectAll()
    .where(beyond(after))
    .where(visible)
    .$if(scope !== undefined, (q) =>
      q.where((eb) => eb.or([eb('project_id', '=', scope!), eb('project_id', 'is', null)])),
    )
    .orderBy('xid')
    .orderBy('id')
    .limit(limit)
    .execute();
}

/** True when events after `after` are committed, be they held back or not: then it is worth reading again soon. */
export async function hasEventsAfter(db: Db, after: EventCursor): Promise<boolean> {
  const row = await db.selectFrom('event').select('id').where(beyond(after)).limit(1).executeTakeFirst();
  return row !== undefined;
}

/** Place of the newest event that readers can see. */
export async function lastEvent(db: Db): Promise<EventCursor> {
  const row = await db
    .selectFrom('event')
    .select(['xid', 'id'])
    .where(visible)
    .orderBy('xid', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row ?? FIRST_EVENT;
}

/** Removes events older than `before`; returns how many. */
export async function purgeEvents(db: Db, before: Date): Promise<number> {
  const result = await db.deleteFrom('event').where('at', '<', before).executeTakeFirst();
  return Number(result.numDeletedRows);
}
