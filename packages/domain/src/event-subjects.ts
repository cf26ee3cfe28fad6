/** What events are about: the first word of their types (`execution.updated` is about an execution). */
export const EVENT_SUBJECTS = [
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

/**
 * True when a filter wants the event: the type itself, or the subject. An empty filter wants every event but those of steps
 * inside an execution and those about webhooks.
 */
export function wantsEvent(filter: readonly string[], type: string): boolean {
  const subject = type.split('.')[0]!;
  if (filter.length === 0) return subject !== 'webhook' && !STEPS.has(subject);
  return filter.includes(type) || filter.includes(subject);
}
