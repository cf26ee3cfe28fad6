import { wfQueueRunner } from '@dbos-inc/dbos-sdk/internal/wfqueue';
import { CONTROL_QUEUE, DEFAULT_REGION, regionQueue } from './contract.ts';
import type { ServicePlace } from './service.ts';

/** Milliseconds at least between looks at one queue that notices ask for: of a thousand starts at once most share a look. */
const GAP_MS = 25;

/** The queues that a worker takes work from: none while it is disabled. */
export function queuesOf(service: Pick<ServicePlace, 'enabled' | 'regions'>): string[] {
  if (!service.enabled) return [];
  return [CONTROL_QUEUE, ...[DEFAULT_REGION, ...service.regions].map(regionQueue)];
}

/** What is used of the durable engine's own loop. There is no public way; the version is pinned, and tests drain, spread and start by notice alone. */
interface Runner {
  listenQueueNames: Set<string> | null;
  /** By name of queue. */
  states: Map<string, { nextPollAt: number }>;
  /** Called in each turn of the loop. `looking`: by name, the queues that are being looked into. `wake`: ends the loop's sleep. */
  scheduleDueQueues(engine: unknown, now: number, lanes: number, looking: Map<string, unknown>, wake: () => void): void;
}

const runner = wfQueueRunner as unknown as Runner;

/** Queues that a notice named since the last look at them began. */
const hurried = new Set<string>();
/** Queue -> when a notice last brought a look at it forward to; Date.now() as in the loop. */
const hurriedTo = new Map<string, number>();
/** Queue -> until when it is not looked into. */
const awayUntil = new Map<string, number>();
let wakeLoop: (() => void) | undefined;

const { scheduleDueQueues } = runner;
runner.scheduleDueQueues = (engine, now, lanes, looking, wake) => {
  wakeLoop = wake;
  for (const name of hurried) {
    const state = runner.states.get(name);
    const listened = runner.listenQueueNames?.has(name) === true;
    // A look under way may have read before the notice came, and a queue just listened to is not known yet: the next turn.
    if (listened && (state === undefined || looking.has(name))) continue;
    hurried.delete(name);
    const at = Math.max(now, (hurriedTo.get(name) ?? 0) + GAP_MS);
    // What was taken from this worker the loop may know for another second.
    if (!listened || state === undefined || state.nextPollAt <= at) continue;
    state.nextPollAt = at;
    hurriedTo.set(name, at);
  }
  for (const [name, until] of awayUntil) {
    const state = runner.states.get(name);
    if (until <= now) awayUntil.delete(name);
    else if (state !== undefined) state.nextPollAt = Math.max(state.nextPollAt, until);
  }
  scheduleDueQueues.call(runner, engine, now, lanes, looking, wake);
};

/** Takes work from these queues from now on; the engine fixes the set when it is launched, yet reads it anew each second. */
export function listenTo(service: Pick<ServicePlace, 'enabled' | 'regions'>): void {
  const before = runner.listenQueueNames;
  runner.listenQueueNames = new Set(queuesOf(service));
  for (const queue of runner.listenQueueNames) if (before?.has(queue) === false) hurry(queue);
}

/**
 * Looks into a queue now instead of at its next turn: something waits there. A queue that this worker does not take from or
 * looks away from is left alone.
 */
export function hurry(queue: string): void {
  hurried.add(queue);
  wakeLoop?.();
}

/** After notices may have been missed. */
export function hurryAll(): void {
  for (const queue of runner.listenQueueNames ?? []) hurry(queue);
}

/** Does not look into a queue for a while, whatever notices say, so that others do. */
export function lookAway(queue: string, ms: number): void {
  awayUntil.set(queue, Date.now() + ms);
}
