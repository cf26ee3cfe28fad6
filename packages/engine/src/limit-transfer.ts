import { GodwitError } from '@godwit/domain';
import { toJson, updateTransfer } from '@godwit/store';
import { lockedTransfer } from './begin-transfer.ts';
import type { StartPlace } from './start.ts';

/**
 * Sets the rate limit of a transfer, whether it runs or not: workers read it again every 5 s.
 *
 * @throws GodwitError see `EngineClient.limitTransfer`
 */
export async function limitTransfer(place: StartPlace, transferId: string, rateLimit: number | null): Promise<void> {
  if (rateLimit !== null && !(Number.isSafeInteger(rateLimit) && rateLimit > 0)) {
    const reason = `the rate limit must be a whole number of bytes per second, 1 or more, not ${rateLimit}`;
    throw new GodwitError('INVALID_INPUT', `transfer ${transferId}`, { reason });
  }
  const transfer = await lockedTransfer(place, transferId);
  await refuseWhileUpdating(place, transfer.id);
  const { rate_limit: _, ...others } = transfer.options;
  const options = rateLimit === null ? others : { ...others, rate_limit: rateLimit };
  await updateTransfer(place.trx, transfer.id, { options: toJson(options) });
}

/** An update that ends later would bring back the options that it began with. */
async function refuseWhileUpdating({ trx }: StartPlace, transferId: string): Promise<void> {
  const row = await trx
    .selectFrom('execution')
    .select('id')
    .where('action_id', '=', transferId)
    .where('type', '=', 'transfer_update')
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) return;
  throw new GodwitError('BAD_REQUEST', `transfer ${transferId}`, {
    reason: `Its settings are just being changed by execution ${row.id}; try again when that has ended`,
  });
}
