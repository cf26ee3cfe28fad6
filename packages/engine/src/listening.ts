import { wfQueueRunner } from '@dbos-inc/dbos-sdk/internal/wfqueue';
import { CONTROL_QUEUE, DEFAULT_REGION, regionQueue } from './contract.ts';
import type { ServicePlace } from './service.ts';

/** The queues that a worker takes work from: none while it is disabled. */
export function queuesOf(service: Pick<ServicePlace, 'enabled' | 'regions'>): string[] {
  if (!service.enabled) return [];
  return [CONTROL_QUEUE, ...[DEFAULT_REGION, ...service.regions].map(regionQueue)];
}

/** What is used of the durable engine's own loop. There is no public way; the version is pinned, and tests drain and spread. */
interface Runner {
  listenQueueNames: Set<string> | null;
  /** By name of queue. */
  states: Map<string, { nextPollAt: number }>;
}

const runner = wfQueueRunner as unknown as Runner;

/** Takes work from these queues from now on; the engine fixes the set when it is launched, yet reads it anew each second. */
export function listenTo(service: Pick<ServicePlace, 'enabled' | 'regions'>): void {
  runner.listenQueueNames = new Set(queuesOf(service));
}

/** Does not look into a queue for a while, so that others do. */
export function lookAway(queue: string, ms: number): void {
  const state = runner.states.get(queue);
  if (state !== undefined) state.nextPollAt = Math.max(state.nextPollAt, Date.now() + ms);
}
