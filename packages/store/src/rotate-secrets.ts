import type pg from 'pg';
import type { Connection } from './database.ts';
import { type SealedPlace, SecretBox, sealedKeyId } from './secrets.ts';

export interface Rotation {
  /** Key that seals from now on. */
  keyId: string;
  /** Values sealed anew. */
  resealed: number;
}

/**
 * Makes a new key, seals every secret of the database with it and forgets the keys before the former one. May be
 * interrupted at any point and run again: every key that is in use is in the file. Processes on this machine go on by
 * themselves; workers elsewhere need the new file.
 *
 * @throws GodwitError SECRET_CORRUPT, SECRET_KEY_MISSING: nothing was forgotten then
 */
export async function rotateSecrets(connection: Connection, keyFile: string): Promise<Rotation> {
  const secrets = SecretBox.addKey(keyFile);
  let resealed = 0;
  resealed += await reseal(connection, secrets, 'endpoint');
  resealed += await reseal(connection, secrets, 'setting');
  resealed += await reseal(connection, secrets, 'webhook');
  SecretBox.dropOldKeys(keyFile);
  return { keyId: secrets.keyId, resealed };
}

const COLUMNS = {
  endpoint: { id: 'id', sealed: 'connection_secret' },
  setting: { id: 'key', sealed: 'sealed' },
  webhook: { id: 'id', sealed: 'signing_secret' },
} as const;

async function reseal(connection: Connection, secrets: SecretBox, table: SealedPlace['table']): Promise<number> {
  const { id: idColumn, sealed: column } = COLUMNS[table];
  let count = 0;
  const { rows } = await connection.pool.query<{ id: string; sealed: Buffer }>(
    `select ${idColumn} as id, ${column} as sealed from ${table} where ${column} is not null order by 1`,
  );
  for (const row of rows) {
    if (sealedKeyId(row.sealed) === secrets.keyId) continue;
    const place = { table, id: row.id };
    // Only if nobody changed it meanwhile; then it stays for the check below.
    const result = await connection.pool.query(
      `update ${table} set ${column} = $1 where ${idColumn} = $2 and ${column} = $3`,
      [secrets.seal(place, secrets.open(place, row.sealed)), row.id, row.sealed],
    );
    count += result.rowCount ?? 0;
  }
  const left = await connection.pool.query<{ sealed: Buffer }>(
    `select ${column} as sealed from ${table} where ${column} is not null`,
  );
  const missed = left.rows.some((row) => sealedKeyId(row.sealed) !== secrets.keyId);
  return missed ? count + (await reseal(connection, secrets, table)) : count;
}

/**
 * Sees to it that every secret of the database can be opened with the key file, which is made when there are none yet.
 *
 * @throws GodwitError SECRET_KEY_FILE when secrets are there and the file is not; SECRET_KEY_MISSING when it is of another
 *   installation or too old
 */
export async function requireKeys(connection: Connection, keyFile: string): Promise<SecretBox> {
  const ids = await keysInUse(connection.pool);
  const secrets = SecretBox.load(keyFile, ids.length === 0);
  for (const id of ids) secrets.requireKey(id);
  return secrets;
}

/** Ids of the keys that sealed what is in the database. */
export async function keysInUse(session: pg.ClientBase | pg.Pool): Promise<string[]> {
  const { rows } = await session.query<{ head: Buffer }>(
    `select distinct substring(sealed for 2 + get_byte(sealed, 1)) as head from (
       select connection_secret as sealed from endpoint union all select sealed from setting
       union all select signing_secret from webhook) as every
     where length(sealed) > 2 order by 1`,
  );
  return rows.map(({ head }) => sealedKeyId(head) ?? 'of an unknown form');
}
