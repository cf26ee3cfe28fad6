import type { ExecutionStatus, JsonObject } from '@godwit/domain';
import { type Deployment, deploymentsWaitingFor, type Execution, listInfo, toJson } from '@godwit/store';
import { sql } from 'kysely';
import { REAP_CHANNEL } from './contract.ts';
import { type StartPlace, startDeployment } from './start.ts';

/**
 * What follows from the end of an execution, in the transaction that ends it: deployments that waited for it start or are
 * called off, a deployment tells what its instances became, and the reaper is woken.
 */
export async function settleExecution(place: StartPlace, execution: Execution): Promise<void> {
  const { trx } = place;
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

async function callOff({ trx }: StartPlace, deployment: Deployment, status: ExecutionStatus): Promise<void> {
  await trx
    .updateTable('deployment')
    .set({ last_execution_status: status, updated_at: sql<Date>`now()` })
    .where('id', '=', deployment.id)
    .execute();
}
