import type { Json } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import { toJson } from './tables.ts';

export async function getSetting(db: Db, key: string): Promise<Json | undefined> {
  const row = await db.selectFrom('setting').select('value').where('key', '=', key).executeTakeFirst();
  return row === undefined ? undefined : row.value;
}

export async function putSetting(db: Db, key: string, value: Json): Promise<void> {
  await db
    .insertInto('setting')
    .values({ key, value: toJson(value), updated_at: sql<Date>`now()` })
    .onConflict((oc) => oc.column('key').doUpdateSet({ value: toJson(value), updated_at: sql<Date>`now()` }))
    .execute();
}
