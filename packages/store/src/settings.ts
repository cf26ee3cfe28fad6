import type { Json } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { SecretBox } from './secrets.ts';
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

/**
 * A secret that all processes of an installation share (the key that signs receipts): opened, or made by `create` and
 * sealed when it is not there yet. Of several callers at once all get the same.
 */
export async function sharedSecret(db: Db, secrets: SecretBox, key: string, create: () => Json): Promise<Json> {
  const place = { table: 'setting', id: key } as const;
  const read = () =>
    db.selectFrom('setting').select('sealed').where('key', '=', key).where('sealed', 'is not', null).executeTakeFirst();
  const found = await read();
  if (found?.sealed != null) return secrets.open(place, found.sealed);
  await db
    .insertInto('setting')
    .values({ key, sealed: secrets.seal(place, create()), updated_at: sql<Date>`now()` })
    .onConflict((oc) => oc.column('key').doNothing())
    .execute();
  const made = await read();
  return secrets.open(place, made!.sealed!);
}
