import { ACTIVE_EXECUTION_STATUSES, GodwitError, usesOfTransfer } from '@godwit/domain';
import { insertDeployment, lockTransfer, type Transfer, together } from '@godwit/store';
import type { ExecuteTransferRequest } from './engine-client.ts';
import { refuseUnfitPools } from './pools/fit.ts';
import { queuePlace } from './queue-place.ts';
import { type BegunExecution, deploymentOf, type StartPlace, startTransfer } from './start.ts';

/**
 * Starts a run of a transfer, whoever asks: a request, or the clock.
 *
 * @throws GodwitError see `EngineClient.executeTransfer`
 */
export async function beginTransfer(place: StartPlace, request: ExecuteTransferRequest): Promise<BegunExecution> {
  const { trx, commit } = place;
  const { transferId } = request;
  const [transfer, turn] = await together([
    lockedTransfer(place, transferId, request.projectId),
    queuePlace(trx, transferId),
    refuseWhileDeploying(place, transferId),
  ]);
  await refuseUnfitPools(trx, transfer, usesOfTransfer(transfer));
  await refuseWhileActive(place, transfer);
  const shutdown = request.shutdownInstances === true;
  const runs = request.runs ?? 1;
  const options = {
    shutdown_instances: shutdown && runs === 1,
    ...(runs > 1 && { series: { run: 1, of: runs, shutdown } }),
    auto_deploy: request.autoDeploy === true,
    ...(request.verify !== undefined && { verify: request.verify }),
    ...(request.audit !== undefined && { audit: request.audit }),
  };
  const begun = startTransfer(place, transfer, options, { locked: transfer, turn });
  if (request.autoDeploy !== true) {
    // All that it writes is on its way, and nothing else can refuse it: the end goes out behind it.
    const [execution] = await together([begun, commit?.()]);
    return execution;
  }
  const execution = await begun;
  await insertDeployment(
    trx,
    deploymentOf(transfer, {
      user_id: request.userId ?? transfer.user_id,
      deployer_id: execution.id,
      last_execution_status: 'PENDING',
    }),
  );
  return execution;
}

/** @param projectId absent: of any project */
export async function lockedTransfer({ trx }: StartPlace, id: string, projectId?: string): Promise<Transfer> {
  const transfer = await lockTransfer(trx, id, projectId);
  if (transfer === undefined) throw new GodwitError('NOT_FOUND', `Transfer with ID '${id}'`);
  return transfer;
}

export async function refuseWhileActive({ trx }: StartPlace, transfer: Transfer): Promise<void> {
  if (!ACTIVE_EXECUTION_STATUSES.includes(transfer.last_execution_status)) return;
  const row = await trx
    .selectFrom('execution')
    .select('id')
    .where('action_id', '=', transfer.id)
    .where('status', 'in', [...ACTIVE_EXECUTION_STATUSES])
    .executeTakeFirst();
  if (row !== undefined) {
    throw new GodwitError('BAD_REQUEST', `transfer ${transfer.id}`, {
      reason: `Another tasks execution is in progress: ['${row.id}']`,
    });
  }
}

export async function refuseWhileDeploying({ trx }: StartPlace, transferId: string): Promise<void> {
  const active = await trx
    .selectFrom('deployment')
    .select('id')
    .where('transfer_id', '=', transferId)
    .where('deleted_at', 'is', null)
    .where('last_execution_status', 'in', [...ACTIVE_EXECUTION_STATUSES])
    .orderBy('created_at')
    .limit(1)
    .executeTakeFirst();
  if (active !== undefined) {
    throw new GodwitError('CONFLICT', `transfer ${transferId}`, { reason: `deployment ${active.id} is running` });
  }
}
