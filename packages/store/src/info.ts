import type { JsonObject } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { toJson } from './tables.ts';

/** The blackboard of one instance; `{}` when nothing was written yet. */
export async function getInfo(db: Db, actionId: string, instance: string): Promise<JsonObject> {
  const row = await db
    .selectFrom('info')
    .select('data')
    .where('action_id', '=', actionId)
    .where('instance', '=', instance)
    .executeTakeFirst();
  return row?.data ?? {};
}

/** All blackboards of an action, by instance. */
export async function listInfo(db: Db, actionId: string): Promise<Record<string, JsonObject>> {
  const rows = await db.selectFrom('info').select(['instance', 'data']).where('action_id', '=', actionId).execute();
  return Object.fromEntries(rows.map((row) => [row.instance, row.data]));
}

/** All blackboards of several actions. */
export async function infoOfActions(
  db: Db,
  actionIds: string[],
): Promise<{ action_id: string; instance: string; data: JsonObject }[]> {
  if (actionIds.length === 0) return [];
  return db
    .selectFrom('info')
    .select(['action_id', 'instance', 'data'])
    .where(sql<boolean>`action_id = any(${actionIds})`)
    .execute();
}

/** Merges top-level keys into the blackboard; a null value removes its key. */
export async function mergeInfo(db: Db, actionId: string, instance: string, change: JsonObject): Promise<void> {
  const data = toJson(change);
  await db
    .insertInto('info')
    .values({
      action_id: actionId,
      instance,
      data: sql<string>`jsonb_strip_nulls(${data}::jsonb)`,
      updated_at: sql`now()`,
    })
    .onConflict((oc) =>
      oc.columns(['action_id', 'instance']).doUpdateSet({
        data: sql<string>`(info.data || ${data}::jsonb) - array(
          select key from jsonb_each(${data}::jsonb) where value = 'null'::jsonb)`,
        updated_at: sql`now()`,
      }),
    )
    .execute();
}

export async function deleteInfo(db: Db, actionId: string): Promise<void> {
  await db.deleteFrom('info').where('action_id', '=', actionId).execute();
}
