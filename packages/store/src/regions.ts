import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain';
import { sql } from 'kysely';
import type { Db } from './database.ts';
import type { Region } from './tables.ts';
import { inTransaction } from './transaction.ts';

export type MappedType = 'endpoint' | 'service';
export type RegionWithMappings = Region & { mapped_endpoints: string[]; mapped_services: string[] };

export async function insertRegion(
  db: Db,
  region: { name: string; description?: string; enabled?: boolean },
): Promise<Region> {
  return db
    .insertInto('region')
    .values({ id: randomUUID(), ...region })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** The living region of that name, made when there is none: what a worker does with its `--region`. */
export async function ensureRegion(db: Db, name: string): Promise<Region> {
  await db
    .insertInto('region')
    .values({ id: randomUUID(), name })
    .onConflict((oc) => oc.column('name').where('deleted_at', 'is', null).doNothing())
    .execute();
  return db
    .selectFrom('region')
    .selectAll()
    .where('name', '=', name)
    .where('deleted_at', 'is', null)
    .executeTakeFirstOrThrow();
}

export async function listRegions(db: Db): Promise<RegionWithMappings[]> {
  const rows = await db
    .selectFrom('region')
    .selectAll()
    .where('deleted_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return withMappings(db, rows);
}

export async function getRegion(db: Db, id: string): Promise<RegionWithMappings | undefined> {
  const rows = await db.selectFrom('region').selectAll().where('id', '=', id).where('deleted_at', 'is', null).execute();
  return (await withMappings(db, rows))[0];
}

async function withMappings(db: Db, regions: Region[]): Promise<RegionWithMappings[]> {
  if (regions.length === 0) return [];
  const mappings = await db
    .selectFrom('region_mapping')
    .selectAll()
    .where(
      'region_id',
      'in',
      regions.map((region) => region.id),
    )
    .orderBy('created_at')
    .execute();
  const of = (id: string, type: MappedType) =>
    mappings.filter((m) => m.region_id === id && m.object_type === type).map((m) => m.object_id);
  return regions.map((region) => ({
    ...region,
    mapped_endpoints: of(region.id, 'endpoint'),
    mapped_services: of(region.id, 'service'),
  }));
}

export async function updateRegion(
  db: Db,
  id: string,
  change: { name?: string; description?: string; enabled?: boolean },
): Promise<Region | undefined> {
  return db
    .updateTable('region')
    .set({ ...change, updated_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

export async function deleteRegion(db: Db, id: string): Promise<boolean> {
  return inTransaction(db, async (trx) => {
    const result = await trx
      .updateTable('region')
      .set({ deleted_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n) return false;
    await trx.deleteFrom('region_mapping').where('region_id', '=', id).execute();
    return true;
  });
}

/** Region ids of objects, by object id. */
export async function mappedRegions(db: Db, type: MappedType, ids: string[]): Promise<Map<string, string[]>> {
  const regions = new Map<string, string[]>();
  if (ids.length === 0) return regions;
  const rows = await db
    .selectFrom('region_mapping')
    .select(['region_id', 'object_id'])
    .where('object_type', '=', type)
    .where(sql<boolean>`object_id = any(${ids})`)
    .orderBy('created_at')
    .execute();
  for (const row of rows) regions.set(row.object_id, [...(regions.get(row.object_id) ?? []), row.region_id]);
  return regions;
}

/**
 * Replaces the regions of an endpoint or a service.
 *
 * @throws GodwitError NOT_FOUND for a region that does not exist
 */
export async function mapRegions(db: Db, type: MappedType, objectId: string, regionIds: string[]): Promise<void> {
  const wanted = [...new Set(regionIds)];
  await inTransaction(db, async (trx) => {
    if (wanted.length > 0) {
      const known = await trx
        .selectFrom('region')
        .select('id')
        // One parameter, however many are named. Held, so that none is deleted before the mapping is there.
        .where(sql<boolean>`id = any(${wanted})`)
        .where('deleted_at', 'is', null)
        .orderBy('id')
        .forShare()
        .execute();
      const ids = new Set(known.map((region) => region.id));
      const missing = wanted.find((id) => !ids.has(id));
      if (missing !== undefined) throw new GodwitError('NOT_FOUND', `Region with ID '${missing}'`);
    }
    await trx.deleteFrom('region_mapping').where('object_type', '=', type).where('object_id', '=', objectId).execute();
    if (wanted.length === 0) return;
    await trx
      .insertInto('region_mapping')
      .values(wanted.map((region_id) => ({ region_id, object_type: type, object_id: objectId })))
      .execute();
  });
}
