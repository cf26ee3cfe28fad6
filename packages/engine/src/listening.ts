import { wfQueueRunner } from '@dbos-inc/dbos-sdk/internal/wfqueue';
import { CONTROL_QUEUE, DEFAULT_REGION, regionQueue } from './contract.ts';
import type { ServicePlace } from './service.ts';

/** The queues that a worker takes work from: none while it is disabled. */
export function queuesOf(service: Pick<ServicePlace, 'enabled' | 'regions'>): string[] {
  if (!service.enabled) return [];
  return [CONTROL_QUEUE, ...[DEFAULT_REGION, ...service.regions].map(regionQueue)];
}

/**
 * Takes work from these queues from now on. The durable engine fixes the set when it is launched, yet reads it anew each second;
 * there is no public way to change it, so this one place reaches in (the version is pinned, and a test drains a worker).
 */
export function listenTo(service: Pick<ServicePlace, 'enabled' | 'regions'>): void {
  const runner = wfQueueRunner as unknown as { listenQueueNames: Set<string> | null };
  runner.listenQueueNames = new Set(queuesOf(service));
}
