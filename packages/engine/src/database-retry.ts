import { setTimeout as sleep } from 'node:timers/promises';
import { databaseError, isUnavailable } from '@godwit/store';
import type { Logger } from 'pino';

export interface DatabaseRetry {
  log: Logger;
  /** Gives up (with its reason) when aborted. */
  signal: AbortSignal;
}

/**
 * Repeats what failed because Postgres was away, after 50 ms and up to 1 s apart, until it works or the signal says stop.
 * What it repeats must bear being done twice: a commit whose answer was lost may have happened.
 */
export async function whileDatabaseIsAway<T>(options: DatabaseRetry, work: () => Promise<T>): Promise<T> {
  for (let wait = 50; ; wait = Math.min(wait * 2, 1_000)) {
    options.signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!isUnavailable(error) && !isSerialization(error)) throw databaseError(error);
      options.log.debug({ err: error }, 'the database is away: waiting');
      await sleep(wait, undefined, { signal: options.signal }).catch(() => options.signal.throwIfAborted());
    }
  }
}

/** Times that a transaction is tried which the database ends for the sake of another one. */
const TRIES = 3;

/** Repeats a transaction that lost a deadlock: nothing of it happened. */
export async function despiteDeadlocks<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (tries === TRIES || !isSerialization(error)) throw error;
    }
  }
}

/** Deadlocks and serialization failures: nothing happened, and again it may work. */
function isSerialization(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === '40001' || error.code === '40P01');
}
