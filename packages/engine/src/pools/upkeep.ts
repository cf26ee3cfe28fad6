import { planRefresh } from '@godwit/domain';
import { lockMachines, type MinionPool, transact } from '@godwit/store';
import { sql } from 'kysely';
import type { WorkerContext } from '../worker-context.ts';
import { sweepLeases, viewOf } from './lease.ts';
import { startPoolOperation } from './start-operation.ts';

/** Milliseconds between looks. */
export const UPKEEP_EVERY_MS = 5_000;

/**
 * Takes machines back from executions that were ended by force, and begins the upkeep of pools whose time has come or that
 * have machines which idle for too long. Any number of workers may do it at once. Returns how many began.
 */
export async function keepPools(worker: WorkerContext): Promise<number> {
  if (!worker.service.enabled) return 0;
  await sweepLeases(worker);
  const { rows } = await sql<{ id: string }>`
    select pool.id from minion_pool pool
    where deleted_at is null and status = 'ALLOCATED' and operation is null and (upkeep_at <= clock_timestamp() or exists (
      select from minion_machine machine where machine.pool_id = pool.id and machine.deleted_at is null
        and machine.allocation_status = 'AVAILABLE'
        and machine.last_used_at < clock_timestamp() - pool.minion_max_idle_time * interval '1 s'))`.execute(worker.db);
  let began = 0;
  for (const { id } of rows) {
    worker.heart.check();
    const did = await transact(worker.connection, async (trx) => {
      const pool = await trx
        .selectFrom('minion_pool')
        .selectAll()
        .where('id', '=', id)
        .where('deleted_at', 'is', null)
        .where('status', '=', 'ALLOCATED')
        .where('operation', 'is', null)
        .forUpdate()
        .skipLocked()
        .executeTakeFirst();
      if (pool === undefined) return false;
      const machines = await lockMachines(trx, id);
      if (!isDue(pool, machines.map(viewOf))) return false;
      await startPoolOperation({ trx }, pool, 'upkeep');
      return true;
    });
    if (did) began += 1;
  }
  return began;
}

function isDue(pool: MinionPool, machines: ReturnType<typeof viewOf>[]): boolean {
  const now = Date.now();
  if (pool.upkeep_at !== null && pool.upkeep_at.getTime() <= now) return true;
  const plan = planRefresh(pool, machines, now);
  return plan.delete.length + plan.powerOff.length > 0;
}
