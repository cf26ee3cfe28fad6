import { type MachineView, type MinionPoolStatus, type MinionUse, planMachines } from '@godwit/domain';
import {
  type Database,
  type Db,
  type Execution,
  endLeases,
  insertMachine,
  leaseMachine,
  lockMachines,
  lockMinionPool,
  type MinionLease,
  type MinionMachine,
  type MinionPool,
  staleLeases,
} from '@godwit/store';
import { sql, type Transaction } from 'kysely';
import { TASK_CHANNEL } from '../contract.ts';
import type { WorkerContext } from '../worker-context.ts';

/**
 * Whoever worked for an execution that was ended by force hears of it within 5 s, and a worker that hears nothing counts
 * itself out at 20 s: then its machines can be given to others.
 */
const GRACE_MS = 30_000;

/** How asking for machines ended. */
export type LeaseEnd =
  | { state: 'leased' }
  /** To be asked again: when machines come back, or after a while. */
  | { state: 'waiting'; reason: string }
  /** It will never be. */
  | { state: 'refused'; reason: string };

/** Statuses of a pool that lends machines, and of one that will. */
const LENDING: readonly MinionPoolStatus[] = ['ALLOCATED'];
const COMING: readonly MinionPoolStatus[] = [
  'IN_MAINTENANCE',
  'VALIDATING_INPUTS',
  'ALLOCATING_SHARED_RESOURCES',
  'ALLOCATING_MACHINES',
];

/**
 * All machines that an execution needs, or none: what it does not hold it does not keep from others. Whoever waits longer
 * goes first. Machines that are still to be made are entered for it, up to the maximum of their pools. The caller holds the
 * execution's row locked.
 */
export async function leaseMachines(trx: Transaction<Database>, execution: Execution): Promise<LeaseEnd> {
  const uses = execution.options.minions ?? [];
  const poolIds = [...new Set(uses.map(({ pool }) => pool))].sort();
  const earlier = await earlierWaiting(trx, execution, poolIds);
  if (earlier !== undefined) {
    return {
      state: 'waiting',
      reason: `Waiting for machines of minion pools: execution ${earlier} has waited longer.`,
    };
  }
  const plans: { pool: MinionPool; uses: MinionUse[]; machines: MinionMachine[] }[] = [];
  for (const id of poolIds) {
    const pool = await lockMinionPool(trx, id);
    if (pool === undefined) {
      return {
        state: 'refused',
        reason: `Minion pool '${id}' does not exist any more. Give the transfer another one, or none, and execute again.`,
      };
    }
    const refreshing = pool.operation === 'refresh';
    if (!LENDING.includes(pool.status) && !refreshing) {
      const coming = COMING.includes(pool.status) && pool.operation !== 'deallocate';
      return coming
        ? { state: 'waiting', reason: `Waiting for minion pool '${pool.name}': it is ${pool.status}.` }
        : {
            state: 'refused',
            reason: `Minion pool '${pool.name}' is in '${pool.status}' status instead of the expected 'ALLOCATED'. Allocate its machines and execute again.`,
          };
    }
    const wanted = uses.filter((use) => use.pool === id);
    if (wanted.length > pool.maximum_minions) {
      return {
        state: 'refused',
        reason: `Minion pool '${pool.name}' has at most ${pool.maximum_minions} machine(s), and ${wanted.length} are needed at once. Raise its maximum, or move fewer instances in one transfer.`,
      };
    }
    plans.push({ pool, uses: wanted, machines: await lockMachines(trx, id) });
  }
  const chosen = plans.map((plan) => ({
    ...plan,
    plan: planMachines(plan.pool, plan.machines.map(viewOf), plan.uses.map(nameOf)),
  }));
  const short = chosen.find(({ plan }) => plan === null);
  if (short !== undefined) return { state: 'waiting', reason: whyNone(short.pool, short.machines, short.uses.length) };
  for (const { machines: _, plan, pool, uses: wanted } of chosen) {
    for (const use of wanted) {
      const lease = leaseOf(execution, use);
      const machine = plan?.taken.find(({ instance }) => instance === nameOf(use))?.machine;
      if (machine === undefined) await insertMachine(trx, pool, lease);
      else if (!(await leaseMachine(trx, machine, lease))) {
        // The rows are locked: this cannot be, and if it is, nothing may come of it.
        throw new Error(`machine ${machine} was free and is not`);
      }
    }
  }
  await wakeWaiting(trx, poolIds);
  return { state: 'leased' };
}

/** Gives back what an execution holds, in the transaction that ends it, and wakes who waits for it. */
export async function releaseMachines(
  trx: Db,
  lease: Pick<MinionLease, 'executionId'> & Partial<MinionLease>,
  clean = false,
): Promise<void> {
  const pools = await endLeases(trx, lease, clean);
  await wakeWaiting(trx, pools);
}

/** Takes machines back from executions that were ended by force. Returns how many executions. */
export async function sweepLeases(worker: WorkerContext): Promise<number> {
  const stale = await staleLeases(worker.db, GRACE_MS);
  for (const executionId of stale) {
    worker.heart.check();
    await worker.db.transaction().execute((trx) => releaseMachines(trx, { executionId }));
  }
  return stale.length;
}

/** Wakes the execution that waits longest for machines of these pools, wherever it is walked. */
export async function wakeWaiting(db: Db, poolIds: readonly string[]): Promise<void> {
  if (poolIds.length === 0) return;
  await sql`
    select pg_notify(${TASK_CHANNEL}, id) from (
      select distinct on (pool) execution.id from execution
      cross join lateral jsonb_path_query(options, '$.minions[*].pool') wanted
      cross join lateral (select wanted #>> '{}' as pool) named
      where status = 'AWAITING_MINION_ALLOCATIONS' and pool = any(${[...poolIds]})
      order by pool, execution.created_at, execution.id) first`.execute(db);
}

async function earlierWaiting(db: Db, execution: Execution, poolIds: readonly string[]): Promise<string | undefined> {
  const { rows } = await sql<{ id: string }>`
    select id from execution
    where status = 'AWAITING_MINION_ALLOCATIONS' and id <> ${execution.id}
      and (created_at, id) < (select created_at, id from execution where id = ${execution.id})
      and exists (select from jsonb_path_query(options, '$.minions[*].pool') wanted
        where wanted #>> '{}' = any(${[...poolIds]}))
    order by created_at, id limit 1`.execute(db);
  return rows[0]?.id;
}

function whyNone(pool: MinionPool, machines: readonly MinionMachine[], needed: number): string {
  const used = machines.filter((machine) => machine.execution_id !== null).length;
  const idle = machines.filter((machine) => viewOf(machine).allocation_status === 'AVAILABLE').length;
  return `Waiting for ${needed} machine(s) of minion pool '${pool.name}': of at most ${pool.maximum_minions}, ${used} are in use, ${idle} free, ${machines.length - used - idle} being made, checked or removed.`;
}

const nameOf = ({ instance, role }: MinionUse): string => `${role}/${instance}`;

const leaseOf = (execution: Execution, { instance, role }: MinionUse): MinionLease => ({
  executionId: execution.id,
  actionId: execution.action_id,
  instance,
  role,
});

export function viewOf(row: MinionMachine): MachineView {
  return {
    id: row.id,
    allocation_status: row.allocation_status,
    power_status: row.power_status,
    allocated_action: row.allocated_action ?? row.execution_id,
    last_used_at: row.last_used_at?.getTime() ?? null,
  };
}
