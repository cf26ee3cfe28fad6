import { randomUUID } from 'node:crypto';
import type { JsonObject } from '@godwit/domain';
import { sql } from 'kysely';
import type { MinionMachine, MinionPool, MinionPoolEvent, MinionPoolProgress } from './control-tables.ts';
import type { Db } from './database.ts';
import { toJson } from './tables.ts';
import type { Scope } from './transfers.ts';

/** What a pool is made of; all but endpoint and platform may change while it is deallocated. */
export interface MinionPoolSettings {
  name: string;
  notes: string | null;
  os_type: string;
  environment_options: JsonObject;
  minimum_minions: number;
  maximum_minions: number;
  /** Seconds. */
  minion_max_idle_time: number;
  minion_retention_strategy: 'delete' | 'poweroff';
}

export interface NewMinionPool extends MinionPoolSettings {
  project_id: string;
  user_id: string;
  endpoint_id: string;
  platform: 'source' | 'destination';
}

export async function insertMinionPool(db: Db, pool: NewMinionPool): Promise<MinionPool> {
  return db
    .insertInto('minion_pool')
    .values({ ...pool, id: randomUUID(), environment_options: toJson(pool.environment_options) })
    .returningAll()
    .executeTakeFirstOrThrow();
}

export async function listMinionPools(db: Db, scope: Scope): Promise<MinionPool[]> {
  return db
    .selectFrom('minion_pool')
    .selectAll()
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .orderBy('created_at')
    .orderBy('id')
    .execute();
}

export async function getMinionPool(db: Db, id: string, scope?: Scope): Promise<MinionPool | undefined> {
  return db
    .selectFrom('minion_pool')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .$if(scope !== undefined, (q) => q.where('project_id', '=', scope!))
    .executeTakeFirst();
}

/** The same, locked until the end of the transaction. */
export async function lockMinionPool(db: Db, id: string): Promise<MinionPool | undefined> {
  return db
    .selectFrom('minion_pool')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
}

export async function updateMinionPool(
  db: Db,
  id: string,
  change: Partial<MinionPoolSettings>,
): Promise<MinionPool | undefined> {
  const { environment_options, ...columns } = change;
  return db
    .updateTable('minion_pool')
    .set({
      ...columns,
      ...(environment_options !== undefined && { environment_options: toJson(environment_options) }),
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/** Marks it deleted; false when it was already or never was. */
export async function deleteMinionPool(db: Db, id: string): Promise<boolean> {
  const result = await db
    .updateTable('minion_pool')
    .set({ deleted_at: sql<Date>`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/** Living machines by pool id. */
export async function machinesOfPools(db: Db, poolIds: string[]): Promise<Map<string, MinionMachine[]>> {
  if (poolIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('minion_machine')
    .selectAll()
    .where('pool_id', 'in', poolIds)
    .where('deleted_at', 'is', null)
    .orderBy('created_at')
    .orderBy('id')
    .execute();
  return Map.groupBy(rows, (row) => row.pool_id);
}

/** What happened to a pool and how far it is, oldest first. */
export async function historyOfPool(
  db: Db,
  poolId: string,
): Promise<{ events: MinionPoolEvent[]; progress: MinionPoolProgress[] }> {
  const [events, progress] = await Promise.all([
    db.selectFrom('minion_pool_event').selectAll().where('pool_id', '=', poolId).orderBy('index').execute(),
    db.selectFrom('minion_pool_progress').selectAll().where('pool_id', '=', poolId).orderBy('index').execute(),
  ]);
  return { events, progress };
}
