import { ACTIVE_EXECUTION_STATUSES, GodwitError } from '@godwit/domain';
import * as store from '@godwit/store';
import { badRequest } from './request-error.ts';
import { quoted } from './user-scripts.ts';

/**
 * Calls the engine about a transfer; what it refuses because of the transfer's present state is said in the contract's
 * words, which are 400 where the engine says conflict.
 */
export async function onTransfer<T>(db: store.Db, transferId: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const active = await store.activeExecutions(db, transferId);
    if (active.length > 0) {
      throw badRequest(`Another tasks execution is in progress: ${quoted(active.map((row) => row.id))}`);
    }
    const deployments = await store.deploymentsOfTransfer(db, transferId);
    if (deployments.some((row) => ACTIVE_EXECUTION_STATUSES.includes(row.last_execution_status))) {
      throw badRequest(`Transfer '${transferId}' is currently being deployed`);
    }
    throw reasonAlone(error);
  }
}

/** The same where no other execution can be in the way. */
export async function onAction<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw isRefusal(error) ? reasonAlone(error) : error;
  }
}

function isRefusal(error: unknown): error is GodwitError {
  return error instanceof GodwitError && ['CONFLICT', 'INVALID_INPUT', 'BAD_REQUEST'].includes(error.code);
}

function reasonAlone(error: GodwitError): GodwitError {
  return new GodwitError('BAD_REQUEST', error.object, { reason: String(error.details.reason ?? error.message) });
}
