import type { JsonObject } from './json.ts';
import { MINION_POOL_STATUSES } from './minion-pool.ts';
import { EXECUTION_STATUSES, TASK_STATUSES } from './statuses.ts';

/** What events are about: the first word of their types (`execution.updated` is about an execution). */
export const EVENT_SUBJECTS = [
  'endpoint',
  'transfer',
  'execution',
  'deployment',
  'schedule',
  'minion_pool',
  'webhook',
  'task',
  'progress',
] as const;
export type EventSubject = (typeof EVENT_SUBJECTS)[number];

/** Subjects of steps inside an execution: many a second. Who wants them names them. */
const STEPS: ReadonlySet<string> = new Set<EventSubject>(['task', 'progress']);

/** Words that events may tell as the status of what they are about. */
export const EVENT_STATUSES: readonly string[] = [
  ...new Set([...EXECUTION_STATUSES, ...TASK_STATUSES, ...MINION_POOL_STATUSES]),
];

/** Which events somebody wants. */
export interface EventFilter {
  /** Types, or their subjects; empty: every event but those of steps inside an execution and those about webhooks. */
  events: readonly string[];
  /** Statuses; empty: all. Events that tell none, such as `transfer.created`, are not narrowed by it. */
  statuses: readonly string[];
}

/** True when a filter wants the event. */
export function wantsEvent({ events, statuses }: EventFilter, type: string, payload: JsonObject): boolean {
  const subject = type.split('.')[0]!;
  const named =
    events.length === 0
      ? subject !== 'webhook' && !STEPS.has(subject)
      : events.includes(type) || events.includes(subject);
  const status = payload.status ?? payload.last_execution_status;
  return named && (statuses.length === 0 || typeof status !== 'string' || statuses.includes(status));
}
