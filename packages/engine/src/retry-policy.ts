import { setTimeout as sleep } from 'node:timers/promises';
import type { GodwitError } from '@godwit/domain';

/** How long trouble outside is waited for. */
export interface RetryPolicy {
  /** Milliseconds to the second try; doubles from there. Default 500. */
  readonly firstMs: number;
  /** Milliseconds between tries at most. Default 30,000. */
  readonly maxMs: number;
  /** Milliseconds of trouble, without any progress in between, after which the task fails. Default 300,000. */
  readonly limitMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { firstMs: 500, maxMs: 30_000, limitMs: 300_000 };

export interface RetryRequest {
  policy: RetryPolicy;
  signal: AbortSignal;
  /** Any number that grows when work gets on: patience starts anew then. */
  progress: () => number;
  /** Told before each wait. */
  onRetry: (error: GodwitError, waitMs: number) => void;
  /** True for an error that may pass. */
  retryable: (error: unknown) => error is GodwitError;
}

/** Tries until it works, the error is not of the passing kind, or patience ends; then rejects with the last error. */
export async function withRetry<T>(request: RetryRequest, work: () => Promise<T>): Promise<T> {
  const { policy, signal, progress, onRetry, retryable } = request;
  let since: number | undefined;
  let wait = policy.firstMs;
  let seen = progress();
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted || !retryable(error)) throw error;
      const now = performance.now();
      if (since === undefined || progress() > seen) {
        since = now;
        wait = policy.firstMs;
        seen = progress();
      }
      if (now - since + wait > policy.limitMs) throw error;
      onRetry(error, wait);
      await sleep(wait, undefined, { signal }).catch(() => signal.throwIfAborted());
      wait = Math.min(wait * 2, policy.maxMs);
    }
  }
}
