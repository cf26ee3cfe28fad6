import { randomUUID } from 'node:crypto';
import type { EventLevel, JsonObject, MinionPoolStatus } from '@godwit/domain';
import { sql } from 'kysely';
import type {
  MinionMachine,
  MinionPool,
  MinionPoolEvent,
  MinionPoolOperation,
  MinionPoolProgress,
} from './control-tables.ts';
import type { Db } from './database.ts';
import { holdEndpoints } from './endpoints.ts';
import { lifeEvents } from './events.ts';
import { toJson } from './tables.ts';
import { atNextIndex } from './tasks.ts';
import { inTransaction } from './transaction.ts';
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

/** @throws GodwitError NOT_FOUND when its endpoint was deleted in the meantime */
export async function insertMinionPool(db: Db, pool: NewMinionPool): Promise<MinionPool> {
  return inTransaction(db, async (trx) => {
    await holdEndpoints(trx, [pool.endpoint_id]);
    const row = await trx
      .insertInto('minion_pool')
      .values({ ...pool, id: randomUUID(), environment_options: toJson(pool.environment_options) })
      .returningAll()
      .executeTakeFirstOrThrow();
    await sayPool(trx, 'created', row);
    return row;
  });
}

const sayPool = lifeEvents('minion_pool', ({ name, endpoint_id }: MinionPool) => ({ name, endpoint_id }));

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
  return inTransaction(db, async (trx) => {
    const row = await trx
      .updateTable('minion_pool')
      .set({ deleted_at: sql<Date>`now()` })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .returningAll()
      .executeTakeFirst();
    if (row !== undefined) await sayPool(trx, 'deleted', row);
    return row !== undefined;
  });
}

/** Living machines by pool id. */
export async function machinesOfPools(db: Db, poolIds: string[]): Promise<Map<string, MinionMachine[]>> {
  if (poolIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('minion_machine')
    .selectAll()
    .where(sql<boolean>`pool_id = any(${poolIds})`)
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

/** Entries of a pool's history that are kept. */
const HISTORY = 200;

/** Begins an operation: whatever was under way is refused from now on. The caller holds the pool's row locked. */
export async function beginPoolOperation(
  db: Db,
  id: string,
  operation: MinionPoolOperation,
  status?: MinionPoolStatus,
): Promise<MinionPool> {
  return db
    .updateTable('minion_pool')
    .set((eb) => ({
      operation,
      operation_no: eb('operation_no', '+', 1),
      ...(status !== undefined && { status }),
      updated_at: sql<Date>`now()`,
    }))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Begins a walk of an operation; undefined when the operation is over. */
export async function beginPoolWalk(db: Db, id: string, operationNo: number): Promise<MinionPool | undefined> {
  return db
    .updateTable('minion_pool')
    .set((eb) => ({ walk_no: eb('walk_no', '+', 1) }))
    .where('id', '=', id)
    .where('operation_no', '=', operationNo)
    .where('operation', 'is not', null)
    .where('deleted_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

export interface PoolProgress {
  status?: MinionPoolStatus;
  shared_resources?: JsonObject | null;
  /** Null ends the operation. */
  operation?: null;
  /** ms until the machines are looked at without being asked to; null: never. */
  upkeepInMs?: number | null;
}

/** Writes how far an operation is. The caller holds the pool's row locked. */
export async function changePool(db: Db, id: string, change: PoolProgress): Promise<MinionPool> {
  const { shared_resources, upkeepInMs, ...columns } = change;
  return db
    .updateTable('minion_pool')
    .set({
      ...columns,
      ...(shared_resources !== undefined && {
        shared_resources: shared_resources === null ? null : toJson(shared_resources),
      }),
      ...(upkeepInMs !== undefined && {
        upkeep_at: upkeepInMs === null ? null : sql<Date>`clock_timestamp() + ${upkeepInMs}::float8 * interval '1 ms'`,
      }),
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Says what happened to a pool. */
export async function addPoolEvent(db: Db, poolId: string, level: EventLevel, message: string): Promise<void> {
  await atNextIndex(() =>
    db
      .insertInto('minion_pool_event')
      .values({
        id: randomUUID(),
        pool_id: poolId,
        level,
        message,
        index: sql<number>`(select coalesce(max(index), 0) + 1 from minion_pool_event where pool_id = ${poolId})`,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returning('index')
      .executeTakeFirst(),
  ).then((row) =>
    db
      .deleteFrom('minion_pool_event')
      .where('pool_id', '=', poolId)
      .where('index', '<=', row.index - HISTORY)
      .execute(),
  );
}

/** Says how far a pool is: `step` of `total`. */
export async function addPoolProgress(
  db: Db,
  poolId: string,
  message: string,
  step: number,
  total: number,
): Promise<void> {
  await atNextIndex(() =>
    db
      .insertInto('minion_pool_progress')
      .values({
        id: randomUUID(),
        pool_id: poolId,
        message,
        current_step: step,
        total_steps: total,
        index: sql<number>`(select coalesce(max(index), 0) + 1 from minion_pool_progress where pool_id = ${poolId})`,
      })
      .onConflict((conflict) => conflict.doNothing())
      .returning('index')
      .executeTakeFirst(),
  ).then((row) =>
    db
      .deleteFrom('minion_pool_progress')
      .where('pool_id', '=', poolId)
      .where('index', '<=', row.index - HISTORY)
      .execute(),
  );
}
