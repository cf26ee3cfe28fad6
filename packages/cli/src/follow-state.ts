import { type ApiObject, numberAt, objectOf, textAt } from './api.ts';
import { sortedUpdates, warningsOf } from './execution-view.ts';
import { noProgress, observe, type ProgressState } from './progress.ts';
import { visible } from './visible.ts';

/** What has been shown of an execution so far; pure, so that following can be tested without a server. */
export interface FollowState {
  /** Execution status last seen. */
  status: string;
  progress: ProgressState;
  /** Task id to the status last printed. */
  taskStatus: ReadonlyMap<string, string>;
  /** Ids of remarks already printed. */
  told: ReadonlySet<string>;
}

/** What one more look at the execution brings. */
export interface FollowStep {
  state: FollowState;
  /** Lines to print once, in order: tasks that changed, remarks, errors. */
  lines: string[];
}

export const followBegin: FollowState = {
  status: '',
  progress: noProgress,
  taskStatus: new Map(),
  told: new Set(),
};

/** Statuses after which nothing follows. */
const FINAL = new Set([
  'COMPLETED',
  'CANCELED',
  'ERROR',
  'CANCELED_FOR_DEBUGGING',
  'DEADLOCKED',
  'ERROR_ALLOCATING_MINIONS',
]);

/** Task statuses that only say that it is not its turn yet. */
const WAITING = new Set(['SCHEDULED', 'PENDING', 'UNSCHEDULED', 'STARTING']);

/** True when the execution has ended. */
export function isFinal(status: string): boolean {
  return FINAL.has(status);
}

/**
 * Takes in one look at an execution.
 *
 * @param status of the execution
 * @param tasks its tasks, as the API gives them
 * @param at when it was taken, milliseconds
 */
export function takeIn(state: FollowState, status: string, tasks: readonly ApiObject[], at: number): FollowStep {
  const lines: string[] = [];
  const taskStatus = new Map(state.taskStatus);
  const told = new Set(state.told);
  let progress = state.progress;
  for (const task of tasks) {
    const instance = textAt(task, 'instance');
    for (const update of sortedUpdates(task)) {
      const disk = objectOf(update, 'disk');
      if (disk.disk_id !== undefined) progress = observe(progress, readingOf(instance, disk), at);
      else if (!told.has(textAt(update, 'id')) && textAt(update, 'message') !== '') {
        told.add(textAt(update, 'id'));
        lines.push(`${instance}: ${textAt(update, 'message')}`);
      }
    }
    for (const event of warningsOf(task)) {
      if (told.has(textAt(event, 'id'))) continue;
      told.add(textAt(event, 'id'));
      lines.push(`${instance}: ${textAt(event, 'message')}`);
    }
    const now = textAt(task, 'status');
    if (taskStatus.get(textAt(task, 'id')) === now || WAITING.has(now)) continue;
    taskStatus.set(textAt(task, 'id'), now);
    lines.push(`${instance}: ${textAt(task, 'task_type')} ${now}`);
    lines.push(...errorLines(task));
  }
  if (status !== state.status && status !== '') lines.push(`Execution ${status}`);
  return { state: { status, progress, taskStatus, told }, lines: lines.map(visible) };
}

function readingOf(instance: string, disk: ApiObject) {
  const total = numberAt(disk, 'size');
  const finished = numberAt(disk, 'done');
  return {
    instance,
    disk: textAt(disk, 'disk_id'),
    totalBytes: total,
    finishedBytes: finished,
    sentBytes: numberAt(disk, 'sent'),
    phase: textAt(disk, 'phase') || (finished >= total ? 'done' : 'copy'),
  };
}

function errorLines(task: ApiObject): string[] {
  const error = objectOf(task, 'error');
  const message = textAt(error, 'message') || textAt(task, 'exception_details');
  if (message === '') return [];
  const code = textAt(error, 'code');
  const remedy = textAt(error, 'remedy');
  return [`  ${code === '' ? '' : `${code}: `}${message}`, ...(remedy === '' ? [] : [`  ${remedy}`])];
}
