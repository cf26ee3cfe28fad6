import { GodwitError, MINION_POOL_ACTIONS, type MinionPoolAction } from '@godwit/domain';
import {
  addPoolEvent,
  beginPoolOperation,
  lockMachines,
  lockMinionPool,
  type MinionPool,
  type MinionPoolOperation,
  mappedRegions,
  seizeMachines,
} from '@godwit/store';
import { CONTROL_QUEUE, POOL_WORKFLOW, poolWorkflowId, regionQueue } from '../contract.ts';
import { enqueueWorkflow } from '../enqueue.ts';
import { News } from '../news.ts';
import type { StartPlace } from '../start.ts';
import { servedRegions } from '../waiting.ts';

/**
 * Begins what was asked of a pool.
 *
 * @throws GodwitError NOT_FOUND, BAD_REQUEST (not in this state; machines in use)
 */
export async function actOnPool(
  place: StartPlace,
  poolId: string,
  action: MinionPoolAction,
  force: boolean,
): Promise<void> {
  const { trx } = place;
  const pool = await lockMinionPool(trx, poolId);
  if (pool === undefined) throw new GodwitError('NOT_FOUND', `Minion pool with ID '${poolId}'`);
  const refuse = (reason: string) => new GodwitError('BAD_REQUEST', `minion pool ${poolId}`, { reason });
  const expected = MINION_POOL_ACTIONS[action];
  if (!(force && action === 'deallocate') && !expected.includes(pool.status)) {
    throw refuse(`Minion pool '${poolId}' is in '${pool.status}' state instead of ${expected.join(' or ')}.`);
  }
  if (action === 'deallocate') {
    const used = (await lockMachines(trx, poolId)).filter((machine) => machine.execution_id !== null);
    if (used.length > 0 && !force) {
      const actions = [...new Set(used.map((machine) => machine.allocated_action))].join(', ');
      throw refuse(
        `Minion pool '${poolId}' cannot be deallocated as ${used.length} of its machines are in use by: ${actions}. Wait for them, or deallocate by force.`,
      );
    }
    await seizeMachines(trx, poolId);
  }
  const verb = { allocate: 'Allocating', refresh: 'Refreshing', deallocate: 'Deallocating' }[action];
  await addPoolEvent(trx, poolId, 'INFO', `${verb} minion pool${force ? ' by force' : ''}`);
  await startPoolOperation(place, pool, action);
}

/** Begins an operation and hands it to a worker that reaches the endpoint. The caller holds the pool's row locked. */
export async function startPoolOperation(
  place: StartPlace,
  before: MinionPool,
  operation: MinionPoolOperation,
): Promise<void> {
  const { trx } = place;
  const status = operation === 'upkeep' ? undefined : ('IN_MAINTENANCE' as const);
  const pool = await beginPoolOperation(trx, before.id, operation, status);
  if (status !== undefined) await sayPool(place.trx, pool, before.status);
  const regions = (await mappedRegions(trx, 'endpoint', [pool.endpoint_id])).get(pool.endpoint_id) ?? [];
  const served = regions.length > 0 ? await servedRegions(trx) : new Set<string>();
  const region = regions.find((one) => served.has(one)) ?? regions[0];
  await enqueueWorkflow(trx, {
    workflow: POOL_WORKFLOW,
    id: poolWorkflowId(pool.id, pool.operation_no),
    args: [pool.id, pool.operation_no],
    ...(region === undefined ? { queue: CONTROL_QUEUE } : { queue: regionQueue(region), party: `pool:${pool.id}` }),
  });
}

/** Tells people and programs that a pool's status has changed. */
export async function sayPool(trx: StartPlace['trx'], pool: MinionPool, before: string): Promise<void> {
  if (pool.status !== before) {
    await addPoolEvent(trx, pool.id, 'INFO', `Pool status transitioned from '${before}' to '${pool.status}'`);
  }
  const news = new News(pool.project_id);
  news.add('minion_pool.updated', 'minion_pool', pool.id, { status: pool.status, operation: pool.operation });
  await news.write(trx);
}
