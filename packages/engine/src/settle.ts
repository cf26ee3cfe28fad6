import type { ExecutionStatus, JsonObject } from '@godwit/domain';
import {
  type Deployment,
  deploymentsWaitingFor,
  type Execution,
  listInfo,
  lockTransfer,
  type TransferChange,
  toJson,
  updateTransfer,
} from '@godwit/store';
import { sql } from 'kysely';
import { REAP_CHANNEL } from './contract.ts';
import { News } from './news.ts';
import { releaseMachines } from './pools/lease.ts';
import { type StartPlace, startDeployment, startTransfer } from './start.ts';

/**
 * What follows from the end of an execution, in the transaction that ends it: deployments that waited for it start or are
 * called off, a deployment tells what its instances became, and the reaper is woken.
 */
export async function settleExecution(place: StartPlace, execution: Execution): Promise<void> {
  const { trx } = place;
  const { change } = execution.options;
  if (execution.type === 'transfer_update' && execution.status === 'COMPLETED' && change !== undefined) {
    await updateTransfer(trx, execution.action_id, change as TransferChange);
  }
  await releaseMachines(trx, { executionId: execution.id });
  const next = execution.status === 'COMPLETED' ? await followUp(place, execution) : undefined;
  if (next !== undefined) {
    await trx.updateTable('deployment').set({ deployer_id: next.id }).where('deployer_id', '=', execution.id).execute();
  }
  for (const deployment of await deploymentsWaitingFor(trx, execution.id)) {
    if (execution.status === 'COMPLETED') await startDeployment(place, deployment);
    else await callOff(place, deployment, execution.status === 'CANCELED' ? 'CANCELED' : 'ERROR');
  }
  if (execution.action_type === 'deployment') {
    const results: JsonObject = {};
    for (const [instance, info] of Object.entries(await listInfo(trx, execution.action_id))) {
      if (info.transfer_result !== undefined) results[instance] = info.transfer_result;
    }
    if (Object.keys(results).length > 0) {
      await trx
        .updateTable('deployment')
        .set({ transfer_result: toJson(results) })
        .where('id', '=', execution.action_id)
        .execute();
    }
  }
  await sql`select pg_notify(${REAP_CHANNEL}, '')`.execute(trx);
}

/** Starts the next run of a series; what waited for the one before waits for it. */
async function followUp(place: StartPlace, execution: Execution): Promise<Execution | undefined> {
  const { series } = execution.options;
  if (series === undefined || series.run >= series.of) return undefined;
  const transfer = await lockTransfer(place.trx, execution.action_id);
  if (transfer === undefined) return undefined;
  const run = series.run + 1;
  return startTransfer(place, transfer, {
    ...execution.options,
    shutdown_instances: series.shutdown && run === series.of,
    series: { ...series, run },
  });
}

/** Ends a deployment that waited and whose execution never came to be. */
export async function callOff({ trx }: StartPlace, deployment: Deployment, status: ExecutionStatus): Promise<void> {
  await trx
    .updateTable('deployment')
    .set({ last_execution_status: status, updated_at: sql<Date>`now()` })
    .where('id', '=', deployment.id)
    .execute();
  const news = new News(deployment.project_id);
  news.add('deployment.updated', 'deployment', deployment.id, { last_execution_status: status, execution_id: null });
  await news.write(trx);
}
